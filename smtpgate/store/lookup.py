"""Finds records: read only, for a person who asks, without a server."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from smtpgate.store import statements
from smtpgate.store.greylist import StoreError
from smtpgate.store.statements import Statement

Story = dict[str, Any]


def by_reference(path: Path, ref: str, most: int) -> list[Story]:
    """The records with a reference (upper case), newest first. Raises StoreError."""
    return _stories(path, statements.STORIES_BY_REFERENCE, ref=ref, most=most)


def by_address(path: Path, address: str, most: int) -> list[Story]:
    """The records with this sender, recipient or client, newest first. Raises StoreError."""
    return _stories(path, statements.STORIES_BY_ADDRESS, address=address.lower(), most=most)


def _stories(path: Path, statement: Statement, **parameters: Any) -> list[Story]:
    with _reading(path) as connection:
        return [json.loads(story) for (story,) in statement.run(connection, **parameters)]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise StoreError(f"no database at {path}; run `smtpgate db upgrade`")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            yield connection
    except (sqlite3.Error, ValueError) as trouble:
        raise StoreError(f"{path} cannot be read: {trouble}") from trouble
