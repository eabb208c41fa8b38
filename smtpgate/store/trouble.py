"""What is wrong with the database file, in words that say what to do."""

import errno
import os
import sqlite3
from pathlib import Path

from smtpgate.store.greylist import StoreError
from smtpgate.trouble import MAKE_ROOM
from smtpgate.values import this_user

_DENIED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def store_error(path: Path, trouble: Exception) -> StoreError:
    """The StoreError for what SQLite or the system said of a database."""
    if isinstance(trouble, StoreError):
        return trouble
    reason = trouble.strerror if isinstance(trouble, OSError) else trouble
    code = getattr(trouble, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it
    hint = ""
    if code == sqlite3.SQLITE_FULL or getattr(trouble, "errno", 0) == errno.ENOSPC:
        hint = f": {MAKE_ROOM}"
    elif code in _DAMAGED:
        hint = ": it is damaged, or no database of smtpgate: move it away, and a new one is made"
    elif "no such table" in str(reason):
        hint = ": run `smtpgate db upgrade`"
    elif os.geteuid() != 0 and (code in _DENIED or isinstance(trouble, PermissionError)):
        hint = f": {this_user()} may not use it; root and the user who serves may"
    return StoreError(f"{path}: {reason}{hint}")
