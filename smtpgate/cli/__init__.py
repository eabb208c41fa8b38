"""The commands: thin, wiring only."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from smtpgate import __version__

# Each is a module of its own. `serve` loads ten times as much as `why` needs.
COMMANDS = ("serve", "reload", "status", "why", "dnsbl", "quarantine", "table", "config", "rules", "db")


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Commands and their options. Only those that are named are loaded."""
    top = argparse.ArgumentParser(
        prog="smtpgate",
        description="The SMTP front door: asks every question, relays accepted mail, explains every decision.",
    )
    top.add_argument("--version", action="version", version=f"smtpgate {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        import_module(f"smtpgate.cli.{name}").add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    # Whoever asks for help, or mistypes a command, is told of all of them.
    args = parser([name for name in COMMANDS if name in given[:1]] or COMMANDS).parse_args(argv)
    try:
        result: int = args.run(args)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 141
    return result
