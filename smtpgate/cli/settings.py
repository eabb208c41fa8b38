"""What every command does first: read the configuration, or say all that is wrong with it."""

import sys
from argparse import ArgumentParser

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load_file
from smtpgate.config.settings import Settings
from smtpgate.server.tls import check_files


def add_config_option(parser: ArgumentParser) -> None:
    """The option that every command has."""
    parser.add_argument("--config", metavar="PATH", default="config.toml", help="the configuration (%(default)s)")


def load_settings(path: str, *, files: bool = False) -> Settings:
    """The settings of a configuration file; exits with status 1 if it is not right.

    files: those that it names must be right too; not everybody who asks may read a key.
    """
    try:
        settings = load_file(path, REGISTRY)
        if files:
            check_files(settings, path)
        return settings
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        raise SystemExit(1) from None
