"""What every command does first: read the configuration, or say all that is wrong with it."""

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load_file, load_section
from smtpgate.config.settings import ServerSettings, Settings, StoreSettings
from smtpgate.server.privileges import PrivilegeError, become_server

T = TypeVar("T")


def add_config_option(parser: ArgumentParser) -> None:
    """The option that nearly every command has. Its default is that of `smtpgate --config PATH COMMAND`."""
    parser.add_argument("--config", metavar="PATH", default=SUPPRESS, help="the configuration (default: config.toml)")


def read_settings(path: str, *, files: bool = False) -> Settings:
    """The settings of a configuration file. Raises ConfigErrors.

    files: those that it names must be right too, and are warned about; not everybody who asks may read a key.
    """
    # Here, because all checks and what they stand on take half a second to load.
    from smtpgate.checks.registry import REGISTRY
    from smtpgate.config.costly import costly_expressions
    from smtpgate.server.tls import check_files

    settings = load_file(path, REGISTRY)
    if files:
        more = (*check_files(settings, path), *costly_expressions(settings, path))
        settings = replace(settings, warnings=(*settings.warnings, *more))
    return settings


def load_settings(path: str, *, files: bool = False) -> Settings:
    """The same, but if it is not right, all that is wrong is printed, and the program exits with status 1."""
    return _or_exit(lambda: read_settings(path, files=files))


def server_section(path: str) -> ServerSettings:
    """[server] of a configuration; exits if it is wrong, whatever the rest is like."""
    server: ServerSettings = _or_exit(lambda: load_section(path, "server"))
    return server


def store_url(path: str) -> str:
    """The store's URL in a configuration; exits if [store] is wrong, whatever the rest is like."""
    store: StoreSettings = _or_exit(lambda: load_section(path, "store"))
    return store.url


def write_as_server(server: ServerSettings, path: Path) -> None:
    """Before anything is written at path: what root makes must be the server's; exits if that cannot be."""
    try:
        become_server(server.user, path)
    except PrivilegeError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _or_exit(read: Callable[[], T]) -> T:
    try:
        return read()
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        raise SystemExit(1) from None
