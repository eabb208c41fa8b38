"""Access tables in the store: for a person who looks and edits, beside a server or without one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from smtpgate.store import statements
from smtpgate.store.migrate import upgrade
from smtpgate.store.trouble import store_error
from smtpgate.store.url import database_path

# How long a server's transaction is waited for, in seconds.
_PATIENCE = 10.0


class StoredTable:
    """A table; it is there when it has an entry. url: of the store. All methods raise StoreError. keys: lower case."""

    def __init__(self, url: str, name: str) -> None:
        upgrade(url)
        self._path = database_path(url)
        self._name = name

    def entries(self) -> list[tuple[str, str]]:
        """All keys and results, by key."""
        with self._connected() as connection:
            return [(key, result) for key, result in statements.ALL_ENTRIES.run(connection, name=self._name)]

    def get(self, key: str) -> str | None:
        """A key's result."""
        return dict(self.entries()).get(key)

    def set(self, key: str, result: str) -> None:
        """Write a key's result."""
        with self._connected() as connection:
            statements.SET_ENTRY.run(connection, name=self._name, key=key, result=result)

    def delete(self, key: str) -> str | None:
        """Forget a key; the result that it had."""
        found = self.get(key)
        with self._connected() as connection:
            statements.DELETE_ENTRY.run(connection, name=self._name, key=key)
        return found

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as connection, connection:
                yield connection
        except sqlite3.Error as trouble:
            raise store_error(self._path, trouble) from trouble
