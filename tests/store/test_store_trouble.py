"""What the administrator reads when the database cannot be used."""

import errno
import sqlite3
from pathlib import Path

import pytest

from smtpgate.store.greylist import StoreError
from smtpgate.store.trouble import store_error
from smtpgate.trouble import MAKE_ROOM

PATH = Path("/var/lib/smtpgate/smtpgate.db")
DENIED = "may not use it; root and the user who serves may"


def sqlite_error(text: str, code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/var/lib"), f"Permission denied: user nobody {DENIED}"),
        (sqlite_error("unable to open", sqlite3.SQLITE_CANTOPEN), f"unable to open: user nobody {DENIED}"),
        (sqlite_error("read-only", sqlite3.SQLITE_READONLY_DIRECTORY), f"read-only: user nobody {DENIED}"),
        (
            sqlite_error("file is not a database", sqlite3.SQLITE_NOTADB),
            "file is not a database: it is damaged, or no database of smtpgate: move it away, and a new one is made",
        ),
        (
            sqlite_error("no such table: records", sqlite3.SQLITE_ERROR),
            "no such table: records: run `smtpgate db upgrade`",
        ),
        (sqlite_error("database is locked", sqlite3.SQLITE_BUSY), "database is locked"),
        (OSError(errno.ENOSPC, "No space left on device"), f"No space left on device: {MAKE_ROOM}"),
        (sqlite_error("database or disk is full", sqlite3.SQLITE_FULL), f"database or disk is full: {MAKE_ROOM}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_said_to_a_user_who_is_not_root(trouble: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    assert str(store_error(PATH, trouble)) == f"{PATH}: {said}"


def test_root_is_not_told_to_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    said = store_error(PATH, sqlite_error("unable to open", sqlite3.SQLITE_CANTOPEN))
    assert str(said) == f"{PATH}: unable to open"


def test_what_was_said_already_is_said_once() -> None:
    said = StoreError("x")
    assert store_error(PATH, said) is said
