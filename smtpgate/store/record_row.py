"""A record as the store takes it: nothing in it changes any more, whatever becomes of the record."""

from typing import NamedTuple

from smtpgate.record import Record


class RecordRow(NamedTuple):
    """The columns of the table but the id, and the addresses under which the record is found (schema.py)."""

    ref: str
    at: float
    client: str
    helo: str
    sender: str
    outcome: str
    story: str
    addresses: frozenset[str]


def row_of(record: Record) -> RecordRow:
    """A finished record's row. Raises what json raises."""
    sender = storable(record.sender)
    found_by = (record.client, sender, *map(storable, record.recipients))
    return RecordRow(
        record.ref,
        record.at,
        record.client,
        storable(record.helo),
        sender,
        record.outcome,
        record.text(),
        frozenset(address.lower() for address in found_by if address),
    )


def storable(text: str | None) -> str:
    """Text that SQL can take: bytes that were no UTF-8 arrived as lone surrogates."""
    return (text or "").encode("utf-8", "backslashreplace").decode()
