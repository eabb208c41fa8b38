"""The store on SQLite: one writer thread a process, a bounded queue before it, and group commit.

Rules it keeps:
- The event loop never touches the database: it queues a request and awaits a future.
- Everything queued goes into one BEGIN IMMEDIATE … COMMIT; nobody hears of success before the commit.
- A request that fails is undone alone; the others of its group are committed.
- All trouble is StoreError. After trouble, but for a full disk, the next request finds a fresh connection, and a
  database that was deleted is created again: a mail server must heal without anybody's help.
- While the database is locked or away, one request at a time finds out whether it still is, and all others hear of it
  at once: mail does not queue for a lock.
"""

import asyncio
import json
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote

from smtpgate.store import statements
from smtpgate.store.greylist import Seen, StoreError, Triplet
from smtpgate.store.migrate import upgrade
from smtpgate.store.record_row import RecordRow, storable
from smtpgate.store.trouble import store_error
from smtpgate.store.url import database_path
from smtpgate.store.verified import Kind, Verified

log = logging.getLogger(__name__)

# How much one transaction holds the write lock: other processes wait for it.
_LARGEST_GROUP = 500
_DELETED_AT_ONCE = 200


class _Request(NamedTuple):
    """work: called in the writer thread, inside the transaction. done: gets its result after the commit."""

    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]


class _Failed(NamedTuple):
    error: Exception


def open_store(url: str) -> "SqliteStore":
    """The store that a URL names, sqlite:///relative/path or sqlite:////absolute/path. Raises ValueError.

    Nothing is opened yet: threads do not survive a fork, so the writer thread starts with the first request.
    """
    return SqliteStore(database_path(url))


class SqliteStore:
    """The Store on one SQLite file, which other processes may use at the same time.

    busy_timeout: seconds to wait for another process's transaction. queue_size: requests that may wait; one more is
    refused at once.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, queue_size: int = 10_000) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._queue_size = queue_size
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._away: StoreError | None = None  # set by the writer thread
        self._finding_out: asyncio.Future[Any] | None = None
        # Only the writer thread touches these.
        self._connection: sqlite3.Connection | None = None
        self._connected_to: tuple[int, int] | None = None

    async def greylist(self, triplet: Triplet, now: float, *, delay: float, window: float, lifetime: float) -> Seen:
        """Note one attempt and tell what is known (Greylist)."""
        # Who need not wait at all has passed.
        passes = int(delay <= 0)
        parameters = {
            "client": storable(triplet.client),
            "sender": storable(triplet.sender),
            "recipient": storable(triplet.recipient),
            "now": now,
            "delay": delay,
            "window": window,
            "lifetime": lifetime,
            "passes": passes,
            "expires": now + (lifetime if passes else window),
        }
        row = await self._request(
            lambda connection: statements.GREYLIST_UPSERT.run(connection, **parameters).fetchone()
        )
        return Seen(*row)

    async def write_records(self, records: Sequence[RecordRow]) -> None:
        """Write records, all or none (Store)."""
        await self._request(lambda connection: _write(connection, records))

    async def delivered(self, digest: str) -> frozenset[str]:
        """The recipients that have a message (DeliveredRecipients)."""
        rows = await self._request(lambda connection: statements.DELIVERED.run(connection, digest=digest).fetchall())
        return frozenset(recipient for (recipient,) in rows)

    async def remember(self, digest: str, recipients: Collection[str], at: float) -> None:
        """Note that these have a message (DeliveredRecipients)."""
        await self._request(lambda connection: _remember(connection, digest, recipients, at))

    async def forget(self, digest: str, recipients: Collection[str]) -> None:
        """Forget that these have a message (DeliveredRecipients)."""
        await self._request(lambda connection: _forget(connection, digest, recipients))

    async def entries(self, name: str, keys: Sequence[str]) -> dict[str, str]:
        """The results of keys in an access table (StoredTables)."""
        asked = json.dumps([storable(key) for key in keys])
        rows = await self._request(
            lambda connection: statements.ENTRIES.run(connection, name=name, keys=asked).fetchall()
        )
        return dict(rows)

    async def verified(self, kind: Kind, address: str) -> Verified | None:
        """What is known of an address (VerifiedAddresses)."""
        key = {"kind": kind, "address": storable(address)}
        row = await self._request(lambda connection: statements.VERIFIED.run(connection, **key).fetchone())
        return None if row is None else Verified(bool(row[0]), *row[1:])

    async def remember_verified(self, kind: Kind, address: str, known: Verified, expires: float) -> None:
        """Note what was found out about an address (VerifiedAddresses)."""
        row = {**known._asdict(), "reason": storable(known.reason), "kind": kind, "address": storable(address)}
        await self._request(
            lambda connection: statements.REMEMBER_VERIFIED.run(connection, expires=expires, **row).rowcount
        )

    async def delete_before(
        self, record_at: float, greylist_at: float, delivered_at: float, ahead: float = math.inf
    ) -> int:
        """Delete what is old, or of a time that is far away, a batch a transaction (Store)."""
        deleted = 0
        deletions: Sequence[tuple[Callable[..., int], float]] = (
            (_delete_records, record_at),
            (partial(_delete, statements.DELETE_EXPIRED), greylist_at),
            (partial(_delete, statements.DELETE_DELIVERED), delivered_at),
            (partial(_delete, statements.DELETE_VERIFIED), greylist_at),
        )
        for delete, before in deletions:
            old = {"after": -math.inf, "before": before, "written_after": -math.inf}
            for which in (old, {"after": ahead, "before": math.inf, "written_after": greylist_at}):
                batch = _DELETED_AT_ONCE
                while batch == _DELETED_AT_ONCE:
                    batch = await self._request(partial(delete, most=_DELETED_AT_ONCE, **which))
                    deleted += batch
        return deleted

    async def close(self) -> None:
        """Finish what was asked for and close the database."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _request(self, work: Callable[[sqlite3.Connection], Any]) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError("the store is closed")
        if self._queue.qsize() >= self._queue_size:
            raise StoreError(f"{self._queue_size} requests are waiting already")
        if self._away is not None and self._finding_out is not None and not self._finding_out.done():
            raise StoreError(str(self._away))
        done = asyncio.get_running_loop().create_future()
        if self._away is not None:
            self._finding_out = done
        self._queue.put(_Request(work, done))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
            self._thread.start()
        return done

    def _serve(self) -> None:
        """The writer thread: until the None that close() queues last."""
        stopping = False
        while not stopping:
            group: list[_Request] = []
            request = self._queue.get()
            while request is not None:
                group.append(request)
                if len(group) == _LARGEST_GROUP or self._queue.empty():
                    break
                request = self._queue.get()
            stopping = request is None
            if group:
                _deliver(group, self._commit(group))
        self._disconnect()

    def _commit(self, group: Sequence[_Request]) -> list[Any]:
        """Do a group's work in one transaction; a result or a _Failed for each."""
        try:
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            results = [_attempt(connection, request.work) for request in group]
            connection.execute("COMMIT")
        except Exception as trouble:
            if not self._is_undone(trouble):
                self._disconnect()
            self._away = store_error(self._path, trouble)
            return [_Failed(self._away) for _ in group]
        self._away = None
        for index, result in enumerate(results):
            if isinstance(result, _Failed) and isinstance(result.error, sqlite3.Error):
                self._disconnect()
                results[index] = _Failed(store_error(self._path, result.error))
        return results

    def _is_undone(self, trouble: Exception) -> bool:
        """Whether it was a full disk, which is not the connection's: to make it anew for each try would be work."""
        if self._connection is None or getattr(trouble, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
            return False
        try:
            self._connection.rollback()
        except sqlite3.Error:
            return False
        return True

    def _connect(self) -> sqlite3.Connection:
        """The connection to the file that is there now. Raises what sqlite3 and upgrade() raise."""
        # SQLite would go on writing into a deleted or replaced file for ever.
        if self._connection is not None and self._there() == self._connected_to:
            return self._connection
        self._disconnect()
        done = upgrade(f"sqlite:///{self._path}", busy_timeout=self._busy_timeout)
        log.info("database %s", done)
        # mode=rw: never an empty file by accident.
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw", uri=True, timeout=self._busy_timeout, isolation_level=None
        )
        self._connection, self._connected_to = connection, self._there()
        # A power failure may lose the last commits, never damage the file; the delivered mail does not hang on them.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _there(self) -> tuple[int, int] | None:
        """Which file has the database's name now."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as trouble:
                log.warning("closing %s: %s", self._path, trouble)


def _attempt(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> Any:
    """One request's result or _Failed, undone alone. Raises if SQLite undid the whole transaction."""
    try:
        return work(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise
        return _Failed(error)


@contextmanager
def _undone_as_one(connection: sqlite3.Connection) -> Iterator[None]:
    """Several statements of one request; a single one needs no savepoint, SQLite undoes it alone."""
    connection.execute("SAVEPOINT request")
    try:
        yield
    except Exception:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO request")
            connection.execute("RELEASE request")
        raise
    connection.execute("RELEASE request")


def _deliver(group: Sequence[_Request], results: Sequence[Any]) -> None:
    try:
        group[0].done.get_loop().call_soon_threadsafe(_resolve, group, results)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _resolve(group: Iterable[_Request], results: Iterable[Any]) -> None:
    for request, result in zip(group, results, strict=True):
        if request.done.done():
            continue  # who asked was cancelled
        if isinstance(result, _Failed):
            request.done.set_exception(result.error)
        else:
            request.done.set_result(result)


def _write(connection: sqlite3.Connection, records: Iterable[RecordRow]) -> None:
    """Write records by few statements, however many they are."""
    with _undone_as_one(connection):
        next_id = statements.NEXT_RECORD_ID.run(connection).fetchone()[0]
        numbered = list(enumerate(records, next_id))
        statements.INSERT_RECORDS.run(connection, [(number, *row[:-1]) for number, row in numbered])
        # In the order of their index: of a large one, each page is then read and written once for the whole batch.
        addresses = sorted((address, number) for number, row in numbered for address in row.addresses)
        statements.INSERT_ADDRESSES.run(connection, [(number, address) for address, number in addresses])


def _remember(connection: sqlite3.Connection, digest: str, recipients: Collection[str], at: float) -> None:
    with _undone_as_one(connection):
        for recipient in recipients:
            statements.REMEMBER.run(connection, digest=digest, recipient=storable(recipient), at=at)


def _forget(connection: sqlite3.Connection, digest: str, recipients: Collection[str]) -> None:
    with _undone_as_one(connection):
        for recipient in recipients:
            statements.FORGET.run(connection, digest=digest, recipient=storable(recipient))


def _delete_records(connection: sqlite3.Connection, **which: float) -> int:
    with _undone_as_one(connection):
        statements.DELETE_OLD_ADDRESSES.run(connection, **which)
        return statements.DELETE_OLD_RECORDS.run(connection, **which).rowcount


def _delete(statement: statements.Statement, connection: sqlite3.Connection, **which: float) -> int:
    return statement.run(connection, **which).rowcount
