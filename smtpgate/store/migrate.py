"""Brings a database to this version's tables, creating it if need be, by the Alembic migrations."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

import smtpgate
from alembic import command
from smtpgate.store.greylist import StoreError
from smtpgate.store.trouble import store_error
from smtpgate.store.url import database_path

# How soon a locked database is tried again, in seconds.
_TRY_AGAIN = 0.01
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def upgrade(url: str, *, busy_timeout: float = 5.0) -> str:
    """Create or upgrade the database; what was done, as a sentence for the administrator.

    busy_timeout: seconds to wait for another process's transaction.
    Safe while others use the database, and when several do it at once. Raises StoreError, or ValueError for a URL
    that is none of ours.
    """
    path = database_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(path.parent):
            if not path.exists():
                _create(path)
            return _migrate(path, busy_timeout)
    except (OSError, sqlite3.Error, SQLAlchemyError) as trouble:
        raise store_error(path, getattr(trouble, "orig", None) or trouble) from trouble
    except CommandError as trouble:
        raise StoreError(f"{path} belongs to another version of smtpgate: {trouble}") from trouble


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the directory: of several processes that miss the database, one creates it and the others find it."""
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _create(path: Path) -> None:
    # What a deleted database left behind, perhaps still in use by another process, would be taken for a part of the
    # new one: "disk I/O error" at every statement.
    for leftover in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    # Records tell who writes to whom: not for everybody on this machine.
    path.touch(mode=0o640)


def _migrate(path: Path, busy_timeout: float) -> str:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine("sqlite://", creator=lambda: _connect(path, busy_timeout), poolclass=NullPool)
    # All of it is one transaction that writes from its first moment: whoever comes second waits, then finds it done.
    event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found == head:
            return f"{path} is already up to date ({head})"
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return f"{path} created ({head})" if found is None else f"{path} upgraded from {found} to {head}"


def _scripts() -> Path:
    """The migrations: inside the package when it was installed from a wheel, beside it in the source tree."""
    package = Path(smtpgate.__file__).parent
    installed = package / "alembic"
    return installed if installed.is_dir() else package.parent / "alembic"


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    # isolation_level None: the driver begins no transactions of its own, so that DDL stays inside ours.
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    # Kept by the file: readers and the writer do not wait for each other.
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return connection
        except sqlite3.Error as trouble:
            # While another connection opens or closes the log, SQLite says "locked" without waiting for its end. A full
            # disk is nothing to wait for here.
            if getattr(trouble, "sqlite_errorcode", 0) & 0xFF not in _LOCKED or time.monotonic() >= deadline:
                connection.close()
                raise
            time.sleep(_TRY_AGAIN)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
