"""`smtpgate config check` and `smtpgate config show`."""

import argparse
import sys

from smtpgate.cli.settings import add_config_option, load_settings
from smtpgate.config.toml import dump


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("config", help="check the configuration, or show what is in effect")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say everything that is wrong with it, and what may be")
    check.add_argument("--strict", action="store_true", help="exit with status 1 if there are warnings, too")
    add_config_option(check)
    add_config_option(actions.add_parser("show", help="print it with every default"))


def run(args: argparse.Namespace) -> int:
    """Check or show; status 0 if the configuration is right (1 otherwise, by load_settings), with --strict 1 if there
    are warnings.
    """
    settings = load_settings(args.config, files=args.action == "check")
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if args.action == "show":
        print(dump(settings.effective), end="")
        return 0
    for note in settings.notes:
        print(f"note: {note}")
    rules = settings.rules
    shadow = sum(rule.shadow for rule in rules)
    print(f"{args.config} is right: {len(rules)} rules in {len(settings.phases)} phases, {shadow} in shadow mode")
    if settings.guards:
        print(f"no stranger can relay: all are stopped by {' and '.join(settings.guards)}")
    else:
        print("whether a stranger can relay depends on what the warnings name")
    return 1 if args.strict and settings.warnings else 0
