"""Finds records: read only, for a person who asks, with a server or without one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from smtpgate.record import story
from smtpgate.store import statements
from smtpgate.store.greylist import StoreError
from smtpgate.store.statements import Statement
from smtpgate.store.trouble import store_error

Story = dict[str, Any]


def by_reference(path: Path, ref: str, most: int) -> list[Story]:
    """The records with a reference (upper case), newest first. Raises StoreError."""
    return _stories(path, statements.STORIES_BY_REFERENCE, ref=ref, most=most)


def by_address(path: Path, address: str, most: int) -> list[Story]:
    """The records with this sender, recipient or client, newest first. Raises StoreError."""
    return _stories(path, statements.STORIES_BY_ADDRESS, address=address.lower(), most=most)


def _stories(path: Path, statement: Statement, **parameters: Any) -> list[Story]:
    with _reading(path) as connection:
        return [story(text) for (text,) in statement.run(connection, **parameters)]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        os.stat(path)
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{_mode(path)}", uri=True)) as connection:
            yield connection
    except FileNotFoundError:
        raise StoreError(f"no database at {path}; run `smtpgate db upgrade`") from None
    except (OSError, sqlite3.Error, ValueError) as trouble:
        raise store_error(path, trouble) from trouble


def _mode(path: Path) -> str:
    """How to open a database that others may be writing to.

    While nobody writes, its log is not there, and SQLite makes it anew even to read (sqlite.org/wal.html, "Read-Only
    Databases"). Who may not do so reads the database alone, in which everything is then.
    """
    try:
        at_rest = path.with_name(f"{path.name}-wal").stat().st_size == 0
    except FileNotFoundError:
        at_rest = True
    return "immutable=1" if at_rest and not os.access(path.parent, os.W_OK) else "mode=ro"
