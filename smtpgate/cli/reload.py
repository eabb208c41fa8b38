"""`smtpgate reload`: the running server takes the new configuration, or says what is wrong with it."""

import argparse
import sys

from smtpgate.cli.settings import add_config_option, server_section
from smtpgate.server.control import ControlError, ask

# Twice as long as the supervisor waits for the new workers, in seconds.
_ANSWER_WITHIN = 60.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("reload", help="have a running server take the new configuration")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Wait until the new workers serve; status 1, and what is wrong, if the old ones stay."""
    try:
        answer = ask(server_section(args.config).control, "reload", timeout=_ANSWER_WITHIN)
    except ControlError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    if "error" in answer:
        print(f"smtpgate: the old configuration stays in force:\n{answer['error']}", file=sys.stderr)
        return 1
    print("smtpgate: the new configuration is in force")
    return 0
