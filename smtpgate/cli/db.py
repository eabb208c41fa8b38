"""`smtpgate db upgrade`: the database in this version's shape."""

import argparse
import sys

from smtpgate.cli.settings import add_config_option, store_url
from smtpgate.store.greylist import StoreError
from smtpgate.store.migrate import upgrade


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("db", help="create or upgrade the database")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("upgrade", help="create the database, or bring it to this version's tables")
    add_config_option(action)
    action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Upgrade, and say what was done."""
    try:
        print(f"smtpgate: database {upgrade(store_url(args.config))}")
    except StoreError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    return 0
