"""Mailboxes that exist: written one by one, or in files as Postfix's relay_recipient_maps names them."""

from typing import Any

from smtpgate.tables.files import INDEXED_TYPES, TableFile
from smtpgate.tables.indexed import Indexed
from smtpgate.tables.source import BadLines
from smtpgate.values import list_of, mailbox


def mailboxes(value: Any) -> frozenset[str]:
    """A list of mailboxes, and of files that have them as keys: "hash:/etc/postfix/relay_recipients". Reads them."""
    found: frozenset[str] = list_of(_one_or_many, lambda sets: frozenset().union(*sets))(value)
    return found


def _one_or_many(value: Any) -> frozenset[str]:
    kind, colon, path = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or kind not in INDEXED_TYPES:
        return frozenset((mailbox(value),))
    try:
        read = TableFile(kind, path).read()
    except (OSError, ValueError) as error:
        raise ValueError(f"a file that can be read ({getattr(error, 'strerror', None) or error})") from None
    if read.problems:
        raise BadLines(path, read.problems)
    assert isinstance(read.table, Indexed)
    return frozenset(read.table.keys)
