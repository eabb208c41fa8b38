"""The record's way into the store and the log, off the reply path.

Rules it keeps:
- Who hands over a record never waits and never fails.
- While the store is away records wait in memory, within a bound; the oldest are dropped first.
- A stalled log does not hold up the store, nor the other way round.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from smtpgate.record import Record
from smtpgate.server.transaction_log import TransactionLog
from smtpgate.server.wall_clock import DAY, WallClock
from smtpgate.store.delivered import KEEP_DELIVERED
from smtpgate.store.greylist import StoreError
from smtpgate.store.record_row import RecordRow, row_of
from smtpgate.store.store import Store
from smtpgate.trouble import Trouble

log = logging.getLogger(__name__)

# Beside a busy event loop a write takes tens of milliseconds, for one record as for hundreds.
_LARGEST_BATCH = 500
_LOG_BACKLOG = 2000
# So far in the future nothing is, but what was written while the clock was wrong. In seconds.
_ABSURD = 366 * DAY


class Recorder:
    """Takes finished records, writes them in batches, and deletes old ones.

    write_line: takes the log's lines, several joined by line ends; called in another thread. clock: tells what is
    old. keep: seconds that a record is kept. backlog: how much may wait, in characters of text, of which
    a usual record has 1000 to 2000. linger: seconds that a record waits for company. retry_after: seconds before the
    first, second … repetition of a failed write; the last one stays. deletes: whether it deletes; delete_every: seconds
    between deletions. monotonic: seconds, never set back.
    """

    def __init__(
        self,
        store: Store,
        write_line: Callable[[str], None],
        clock: WallClock,
        keep: float,
        *,
        backlog: int = 64 * 2**20,
        linger: float = 0.2,
        retry_after: Sequence[float] = (1, 2, 5, 10, 30),
        deletes: bool = True,
        delete_every: float = 3600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._trouble = Trouble("the store fails, and records wait in memory", clock=monotonic)
        self._log = TransactionLog(write_line, _LOG_BACKLOG)
        self._clock = clock
        self._keep = keep
        self._backlog = _Backlog(backlog)
        self._linger = linger
        self._retry_after = retry_after
        self._deletes = deletes
        self._delete_every = delete_every
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._flush_planned = False
        self._writing: asyncio.Task[None] | None = None
        self._deleting: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Records that are not in the store yet."""
        return len(self._backlog)

    @property
    def dropped(self) -> int:
        """Records that never got there, because too many waited."""
        return self._backlog.dropped

    @property
    def troubles(self) -> tuple[Trouble, Trouble]:
        """What may keep records from the store, and lines from the log."""
        return self._trouble, self._log.trouble

    async def start(self) -> None:
        """Start writing and deleting."""
        self._log.start()
        self._writing = asyncio.create_task(self._write())
        self._deleting = asyncio.create_task(self._delete()) if self._deletes else None

    def put(self, record: Record) -> None:
        """Take a finished record. Never blocks, never raises."""
        try:
            row = row_of(record)
            self._log.put(record)
            self._backlog.append(row)
            if not self._flush_planned:
                asyncio.get_running_loop().call_later(self._linger, self._flush)
                self._flush_planned = True
        except Exception:
            log.exception("record %s cannot be kept", record.ref)

    async def close(self, timeout: float) -> None:
        """Write what waits and stop, within so many seconds."""
        assert self._writing is not None
        deadline = asyncio.get_running_loop().time() + timeout
        if self._deleting is not None:
            self._deleting.cancel()
            await asyncio.wait([self._deleting])
        self._closing.set()
        self._flush()
        _, late = await asyncio.wait([self._writing], timeout=timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        if self._backlog:
            log.error("%d records are lost: the store could not take them before the stop", len(self._backlog))
        await asyncio.to_thread(self._log.close, max(0.0, deadline - asyncio.get_running_loop().time()))

    def _flush(self) -> None:
        self._flush_planned = False
        self._log.flush()
        self._wake.set()

    async def _write(self) -> None:
        """Write batch after batch until close(); then once more what waits, as long as the store takes it."""
        failures = 0
        while self._backlog or not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            batch = self._backlog.take(_LARGEST_BATCH)
            try:
                if batch:
                    await self._store.write_records(batch)
                    self._trouble.passed()
                failures = 0
            except StoreError as trouble:
                self._backlog.put_back(batch)
                self._trouble.happened(trouble)
                if self._closing.is_set():
                    return
                await self._pause(self._retry_after[min(failures, len(self._retry_after) - 1)])
                failures += 1
                self._wake.set()
            except Exception:
                log.exception("%d records cannot be written", len(batch))
            except asyncio.CancelledError:
                self._backlog.put_back(batch)
                raise
            # What came in meanwhile waits for company too, so that a busy server writes large batches. What was left
            # over must not wait for a record that may never come.
            has_time = self._flush_planned and len(self._backlog) < _LARGEST_BATCH
            if self._backlog and (self._closing.is_set() or not has_time):
                self._wake.set()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            pass

    async def _delete(self) -> None:
        async for now, was_set, steady in self._clock.looks(self._delete_every):
            if was_set:
                log.warning("the clock was set: for some minutes nothing is deleted for its age")
                continue
            try:
                await self._store.delete_before(
                    record_at=now - self._keep,
                    greylist_at=now,
                    delivered_at=now - KEEP_DELIVERED,
                    ahead=now + _ABSURD if steady > DAY else math.inf,
                )
            except StoreError as trouble:
                log.warning("old records cannot be deleted now: %s", trouble)
            except Exception:
                log.exception("old records cannot be deleted")


class _Backlog:
    """Records that wait, oldest first, bounded by the text in them: what a record holds is up to its client."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._rows: deque[RecordRow] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, row: RecordRow) -> None:
        self._rows.append(row)
        self._size += len(row.story)
        self._drop()

    def take(self, most: int) -> list[RecordRow]:
        taken = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        self._size -= _size(taken)
        return taken

    def put_back(self, rows: Sequence[RecordRow]) -> None:
        self._rows.extendleft(reversed(rows))
        self._size += _size(rows)
        self._drop()

    def _drop(self) -> None:
        while self._size > self._most and len(self._rows) > 1:
            self._size -= len(self._rows.popleft().story)
            self.dropped += 1


def _size(rows: Iterable[RecordRow]) -> int:
    return sum(len(row.story) for row in rows)
