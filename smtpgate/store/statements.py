"""Every statement of the store, in SQLAlchemy Core, compiled once.

Compiling is what makes SQLAlchemy slow beside the bare driver (318 µs against 13 µs an upsert); the text is fixed,
so it is compiled when the module is loaded and only the parameters change. Parameters are named.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam, case, delete, func, insert, or_, select, tuple_
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.expression import ClauseElement

from smtpgate.store.schema import access_entry, delivered, greylist, record, record_address, verified_address


class Statement:
    """A statement as SQLite's driver takes it. Constants in it are parameters too, so they ride along."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
        self._text = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, connection: sqlite3.Connection, **parameters: Any) -> sqlite3.Cursor:
        """Execute it, all parameters given by name."""
        return connection.execute(self._text, self._constants | parameters)


class RowsInsert:
    """Inserts rows of a table, whose values stand in the order of its columns, many by one statement.

    Around every statement the driver gives up the interpreter's lock and must wait for it again, up to 5 ms beside a
    busy event loop: with a statement for each, a loaded server would write 200 records a second.
    """

    # The driver keeps the statements that it has prepared, one for each number of rows: not for too many numbers.
    _AT_ONCE = 200
    _REST_AT_ONCE = 50

    def __init__(self, table: Table) -> None:
        self._text = str(insert(table).compile(dialect=sqlite.dialect(paramstyle="qmark")))
        self._row = f", ({', '.join('?' * len(table.columns))})"

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it."""
        start = 0
        while left := len(rows) - start:
            count = self._AT_ONCE if left >= self._AT_ONCE else min(left, self._REST_AT_ONCE)
            values = [value for row in rows[start : start + count] for value in row]
            connection.execute(self._text + self._row * (count - 1), values)
            start += count


def _greylist_upsert() -> ClauseElement:
    """Note one attempt: (client, sender, recipient, now, delay, window, lifetime, passes, expires) → (first, passes).

    passes, expires: those of a triplet seen for the first time, or again after it was forgotten.
    """
    now: BindParameter[float] = bindparam("now")
    delay: BindParameter[float] = bindparam("delay")
    window: BindParameter[float] = bindparam("window")
    lifetime: BindParameter[float] = bindparam("lifetime")
    fresh = sqlite.insert(greylist).values(
        client=bindparam("client"),
        sender=bindparam("sender"),
        recipient=bindparam("recipient"),
        first_seen=now,
        last_seen=now,
        passes=bindparam("passes"),
        expires=bindparam("expires"),
    )
    old, new = greylist.c, fresh.excluded
    # The clock may have been set back since: who came in a future that was none must not wait until it is there.
    first_seen = func.min(old.first_seen, now)
    forgotten = case((old.passes > 0, now - old.last_seen >= lifetime), else_=now - first_seen >= window)
    let_in = or_(old.passes > 0, now - first_seen >= delay)
    return fresh.on_conflict_do_update(
        index_elements=[old.client, old.sender, old.recipient],
        set_={
            "first_seen": case((forgotten, new.first_seen), else_=first_seen),
            "last_seen": new.last_seen,
            "passes": case((forgotten, new.passes), (let_in, old.passes + 1), else_=old.passes),
            "expires": case((forgotten, new.expires), (let_in, now + lifetime), else_=first_seen + window),
        },
    ).returning(greylist.c.first_seen, greylist.c.passes)


def _remember() -> ClauseElement:
    """Note that a recipient has a message, or has it still: (digest, recipient, at)."""
    row = sqlite.insert(delivered).values(
        digest=bindparam("digest"), recipient=bindparam("recipient"), at=bindparam("at")
    )
    return row.on_conflict_do_update(
        index_elements=[delivered.c.digest, delivered.c.recipient], set_={"at": row.excluded.at}
    )


def _set_entry() -> ClauseElement:
    """Write an entry of an access table, or overwrite it: (name, key, result)."""
    row = sqlite.insert(access_entry).values(name=bindparam("name"), key=bindparam("key"), result=bindparam("result"))
    return row.on_conflict_do_update(
        index_elements=[access_entry.c.name, access_entry.c.key], set_={"result": row.excluded.result}
    )


def _remember_verified() -> ClauseElement:
    """Note what was found out about an address: (kind, address, deliverable, reason, at, expires)."""
    row = sqlite.insert(verified_address).values(
        {column.name: bindparam(column.name) for column in verified_address.columns}
    )
    found = ("deliverable", "reason", "at", "expires")
    return row.on_conflict_do_update(
        index_elements=[verified_address.c.kind, verified_address.c.address],
        set_={name: row.excluded[name] for name in found},
    )


# What is deleted, (after, before, written_after, most): what tells how old it is, or may become, lies between the first
# two; what tells when it was written, if that is another column, after the third.
_EXPIRED = (
    select(greylist.c.client, greylist.c.sender, greylist.c.recipient)
    .where(greylist.c.expires > bindparam("after"), greylist.c.expires <= bindparam("before"))
    .where(greylist.c.last_seen > bindparam("written_after"))
    .limit(bindparam("most"))
)
_FORGOTTEN = (
    select(delivered.c.digest, delivered.c.recipient)
    .where(delivered.c.at > bindparam("after"), delivered.c.at < bindparam("before"))
    .limit(bindparam("most"))
)
_STALE = (
    select(verified_address.c.kind, verified_address.c.address)
    .where(verified_address.c.expires > bindparam("after"), verified_address.c.expires <= bindparam("before"))
    .where(verified_address.c.at > bindparam("written_after"))
    .limit(bindparam("most"))
)
_OLD = (
    select(record.c.id)
    .where(record.c.at > bindparam("after"), record.c.at < bindparam("before"))
    .order_by(record.c.at, record.c.id)
    .limit(bindparam("most"))
)

GREYLIST_UPSERT = Statement(_greylist_upsert())
DELETE_EXPIRED = Statement(
    delete(greylist).where(tuple_(greylist.c.client, greylist.c.sender, greylist.c.recipient).in_(_EXPIRED))
)
DELIVERED = Statement(select(delivered.c.recipient).where(delivered.c.digest == bindparam("digest")))
REMEMBER = Statement(_remember())
FORGET = Statement(
    delete(delivered).where(delivered.c.digest == bindparam("digest"), delivered.c.recipient == bindparam("recipient"))
)
DELETE_DELIVERED = Statement(delete(delivered).where(tuple_(delivered.c.digest, delivered.c.recipient).in_(_FORGOTTEN)))
VERIFIED = Statement(
    select(verified_address.c.deliverable, verified_address.c.reason, verified_address.c.at).where(
        verified_address.c.kind == bindparam("kind"), verified_address.c.address == bindparam("address")
    )
)
REMEMBER_VERIFIED = Statement(_remember_verified())
DELETE_VERIFIED = Statement(
    delete(verified_address).where(tuple_(verified_address.c.kind, verified_address.c.address).in_(_STALE))
)
NEXT_RECORD_ID = Statement(select(func.coalesce(func.max(record.c.id), 0) + 1))
INSERT_RECORDS = RowsInsert(record)
INSERT_ADDRESSES = RowsInsert(record_address)
# Both (after, before, most); in this order, within one transaction.
DELETE_OLD_ADDRESSES = Statement(delete(record_address).where(record_address.c.record_id.in_(_OLD)))
DELETE_OLD_RECORDS = Statement(delete(record).where(record.c.id.in_(_OLD)))

# (ref, most) and (address, most) → story, newest first. The id grows with time and is in the index of addresses.
STORIES_BY_REFERENCE = Statement(
    select(record.c.story).where(record.c.ref == bindparam("ref")).order_by(record.c.id.desc()).limit(bindparam("most"))
)
STORIES_BY_ADDRESS = Statement(
    select(record.c.story)
    .join(record_address, record_address.c.record_id == record.c.id)
    .where(record_address.c.address == bindparam("address"))
    .order_by(record_address.c.record_id.desc())
    .limit(bindparam("most"))
)

# (name, keys) → key, result; keys: a JSON list.
ENTRIES = Statement(
    select(access_entry.c.key, access_entry.c.result)
    .where(access_entry.c.name == bindparam("name"))
    .where(access_entry.c.key.in_(select(func.json_each(bindparam("keys")).table_valued("value").c.value)))
)
ALL_ENTRIES = Statement(
    select(access_entry.c.key, access_entry.c.result)
    .where(access_entry.c.name == bindparam("name"))
    .order_by(access_entry.c.key)
)
SET_ENTRY = Statement(_set_entry())
DELETE_ENTRY = Statement(
    delete(access_entry).where(access_entry.c.name == bindparam("name")).where(access_entry.c.key == bindparam("key"))
)
