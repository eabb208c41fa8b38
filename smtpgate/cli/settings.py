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


def read_settings(path: str, *, files: bool = False) -> Settings:
    """The settings of a configuration file. Raises ConfigErrors.

    files: those that it names must be right too; not everybody who asks may read a key.
    """
    settings = load_file(path, REGISTRY)
    if files:
        check_files(settings, path)
    return settings


def load_settings(path: str, *, files: bool = False) -> Settings:
    """The same, but if it is not right, all that is wrong is printed, and the program exits with status 1."""
    try:
        return read_settings(path, files=files)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        raise SystemExit(1) from None
