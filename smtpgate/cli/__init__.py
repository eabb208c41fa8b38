"""The commands: thin, wiring only."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from smtpgate import __version__

# Each is a module of its own. `serve` loads ten times as much as `why` needs.
COMMANDS = ("serve", "reload", "status", "why", "dnsbl", "quarantine", "table", "config", "rules", "db")


class _Parser(argparse.ArgumentParser):
    """Says of each command on its own page what the list of commands says of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("action", "parsers", _Commands)


class _Commands(argparse._SubParsersAction):  # type: ignore[type-arg]
    def add_parser(self, name: str, **options: Any) -> Any:
        text = options["help"]
        return super().add_parser(name, description=f"{text[0].upper()}{text[1:]}.", **options)


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Commands and their options. Only those that are named are loaded."""
    top = _Parser(
        prog="smtpgate",
        description="The SMTP front door: asks every question, relays accepted mail, explains every decision.",
        epilog="More about each: smtpgate COMMAND --help. Exit status: 0; 1 if it could not be done, or something is "
        "wrong; 2 if the command is.",
    )
    top.add_argument("--version", action="version", version=f"smtpgate {__version__}")
    top.add_argument("--config", metavar="PATH", default="config.toml", help="the configuration (default: %(default)s)")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        import_module(f"smtpgate.cli.{name}").add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    command = given[2:3] if given[:1] == ["--config"] else given[:1]
    # Whoever asks for help, or mistypes a command, is told of all of them.
    args = parser([name for name in COMMANDS if name in command] or COMMANDS).parse_args(argv)
    try:
        result: int = args.run(args)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 141
    except KeyboardInterrupt:
        return 130
    return result
