"""`smtpgate db upgrade`: the database in this version's shape."""

import argparse
import sys

from smtpgate.cli.settings import add_config_option, server_section, store_url, write_as_server
from smtpgate.store.greylist import StoreError
from smtpgate.store.migrate import upgrade
from smtpgate.store.url import database_path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("db", help="create or upgrade the database")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("upgrade", help="create the database, or bring it to this version's tables")
    add_config_option(action)
    action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Upgrade, and say what was done."""
    url = store_url(args.config)
    write_as_server(server_section(args.config), database_path(url))
    try:
        print(f"smtpgate: database {upgrade(url)}")
    except StoreError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    return 0
