"""What every command does first: read the configuration, or say all that is wrong with it."""

import sys
from argparse import ArgumentParser

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load_file
from smtpgate.config.settings import Settings


def add_config_option(parser: ArgumentParser) -> None:
    """The option that every command has."""
    parser.add_argument("--config", metavar="PATH", default="config.toml", help="the configuration (%(default)s)")


def load_settings(path: str) -> Settings:
    """The settings of a configuration file; exits with status 1 if it is not right."""
    try:
        return load_file(path, REGISTRY)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        raise SystemExit(1) from None
