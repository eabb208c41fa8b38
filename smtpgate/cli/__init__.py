"""The commands: thin, wiring only."""

import argparse
import sys
from collections.abc import Sequence

from smtpgate import __version__
from smtpgate.cli import config as config
from smtpgate.cli import db as db
from smtpgate.cli import reload as reload
from smtpgate.cli import rules as rules
from smtpgate.cli import serve as serve
from smtpgate.cli import status as status
from smtpgate.cli import why as why


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="smtpgate",
        description="The SMTP front door: asks every question, relays accepted mail, explains every decision.",
    )
    top.add_argument("--version", action="version", version=f"smtpgate {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (serve, reload, status, why, config, rules, db):
        command.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        result: int = args.run(args)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 141
    return result
