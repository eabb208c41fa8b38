"""The recorder: it never holds anybody up, and loses nothing that fits in its bound."""

import asyncio
import json
import logging
import math
import re
import sqlite3
import threading
from pathlib import Path

import pytest

from smtpgate.record import Record, ReplyEntry, RuleEntry, story
from smtpgate.server.recorder import Recorder
from smtpgate.server.transaction_log import TransactionLog
from smtpgate.server.wall_clock import DAY, WallClock
from smtpgate.store.delivered import KEEP_DELIVERED
from smtpgate.store.greylist import StoreError
from smtpgate.store.lookup import by_reference
from smtpgate.store.record_row import row_of
from smtpgate.store.sqlite import SqliteStore
from tests.fakes import Clock

KEEP = 30 * 86400.0


class FakeStore:
    """Takes records, but for the failures that a test gives it. asked: somebody wants to write. free: it answers."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.rows = []
        self.attempts = asyncio.Queue()
        self.deletions = asyncio.Queue()
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def write_records(self, rows):
        self.asked.set()
        await self.free.wait()
        failure = self.failures.pop(0) if self.failures else None
        self.attempts.put_nowait(failure)
        if failure is not None:
            raise failure
        self.rows += rows

    async def delete_before(self, record_at, greylist_at, delivered_at, ahead):
        self.deletions.put_nowait((record_at, greylist_at, delivered_at, ahead))
        if self.failures:
            raise self.failures.pop(0)
        return 0

    @property
    def refs(self):
        """The references of all records that it has, in order."""
        return [row.ref for row in self.rows]

    async def wrote(self):
        """The failure of the next attempt to write, or None."""
        return await asyncio.wait_for(self.attempts.get(), 10)

    async def deleted(self):
        """The next deletion."""
        return await asyncio.wait_for(self.deletions.get(), 10)


def record(ref="7QK2M9XA", **facts):
    made = Record(1_000_000.5, "192.0.2.7", "127.0.0.1:25", ref=ref, **facts)
    made.add(made.replies, ReplyEntry("RCPT bob@example.org", "250 2.1.5 Ok"))
    return made


SIZE = len(record("00").text())


def steady():
    """A clock that stands still, and is believed at once."""
    return WallClock(Clock(), Clock(), soon=0)


async def started(store, lines=None, **options):
    write = (lambda text: None) if lines is None else lines.append
    options = {"linger": 0, "retry_after": (0,), "clock": steady(), **options}
    recorder = Recorder(store, write, options.pop("clock"), KEEP, **options)
    await recorder.start()
    await store.deleted()
    return recorder


async def test_records_come_to_the_store_in_order_and_in_batches():
    store = FakeStore()
    recorder = await started(store)
    for number in range(3):
        recorder.put(record(f"A{number}"))
    assert await store.wrote() is None
    assert store.refs == ["A0", "A1", "A2"]
    assert store.attempts.empty()
    await recorder.close(10)


async def test_what_one_batch_leaves_over_waits_for_no_other_record():
    store = FakeStore()
    recorder = await started(store)
    for number in range(1200):
        recorder.put(record(f"{number}"))
    while len(store.refs) < 1200:
        assert await store.wrote() is None
    await recorder.close(10)
    assert store.refs == [f"{number}" for number in range(1200)]


async def test_what_happens_to_a_record_afterwards_is_in_neither_store_nor_log():
    store, lines = FakeStore(), []
    recorder = await started(store, lines)
    handed_over = record(outcome="accepted")
    before = row_of(handed_over)
    recorder.put(handed_over)
    handed_over.outcome = "deferred"  # its session ends by a time-out before the next command
    handed_over.add(handed_over.replies, ReplyEntry("time-out", "421 4.4.2 Timeout"))
    assert await store.wrote() is None
    await recorder.close(10)
    assert store.rows == [before]
    assert json.loads(lines[0])["outcome"] == "accepted"


async def test_a_record_that_cannot_be_written_is_lost_alone(caplog):
    store, lines = FakeStore(), []
    recorder = await started(store, lines)
    recorder.put(record("A"))
    recorder.put(record("B", rules=[RuleEntry("mail", "check_odd", "enforce", evidence={b"no name": 1})]))
    recorder.put(record("C"))
    await recorder.close(10)
    assert store.refs == ["A", "C"]
    assert [json.loads(line)["ref"] for line in "\n".join(lines).split("\n")] == ["A", "C"]
    assert "record B cannot be kept" in caplog.text


async def test_close_writes_what_waits():
    store, lines = FakeStore(), []
    recorder = await started(store, lines, linger=3600)
    for number in range(1200):
        recorder.put(record(f"{number}"))
    await recorder.close(10)
    assert store.refs == [f"{number}" for number in range(1200)]
    assert len("\n".join(lines).split("\n")) == 1200


async def test_a_failing_store_gets_everything_later_in_order(caplog):
    store = FakeStore()
    recorder = await started(store)
    store.failures = [StoreError("locked"), StoreError("locked")]
    recorder.put(record("A"))
    assert isinstance(await store.wrote(), StoreError)
    recorder.put(record("B"))
    while await store.wrote() is not None:
        pass
    await recorder.close(10)
    assert store.refs == ["A", "B"]


async def test_a_failing_store_is_reported_once_a_minute(caplog):
    store, clock = FakeStore(), Clock()
    recorder = await started(store, monotonic=clock)
    store.failures = [StoreError("locked")] * 5
    recorder.put(record())
    while await store.wrote() is not None:
        pass
    clock.advance(60)
    store.failures = [StoreError("still locked")]
    recorder.put(record())
    while await store.wrote() is not None:
        pass
    await recorder.close(10)
    failing = "the store fails, and records wait in memory"
    over = f"no more trouble: {failing}"
    assert caplog.messages == [f"{failing}: locked", over, f"{failing}: still locked", over]


async def test_the_oldest_are_dropped_when_too_much_waits():
    store = FakeStore()
    store.free.clear()
    recorder = await started(store, backlog=10 * SIZE)
    for number in range(50):
        recorder.put(record(f"{number:02}"))
    store.free.set()
    await recorder.close(10)
    assert store.refs == [f"{number:02}" for number in range(40, 50)]
    assert recorder.dropped == 40


async def test_what_failed_is_older_than_what_came_meanwhile():
    store = FakeStore()
    recorder = await started(store, backlog=10 * SIZE)
    store.free.clear()
    store.failures = [StoreError("locked")]
    for number in range(10):
        recorder.put(record(f"o{number}"))
    await asyncio.wait_for(store.asked.wait(), 10)
    for number in range(8):
        recorder.put(record(f"n{number}"))
    store.free.set()
    assert isinstance(await store.wrote(), StoreError)
    assert await store.wrote() is None
    assert store.refs == ["o8", "o9", *(f"n{number}" for number in range(8))]
    await recorder.close(10)


async def test_a_stop_does_not_wait_for_a_store_that_fails(caplog):
    store = FakeStore()
    recorder = await started(store, linger=3600)
    store.failures = [StoreError("locked")] * 10
    recorder.put(record())
    await recorder.close(10)
    assert len(store.failures) == 9
    assert "1 records are lost" in caplog.text


async def test_records_survive_a_locked_database(tmp_path):
    path = tmp_path / "smtpgate.db"
    store = SqliteStore(path, busy_timeout=0.01)
    await store.write_records([])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError):
        await store.write_records([row_of(record())])
    recorder = Recorder(store, str, steady(), KEEP, linger=3600)
    await recorder.start()
    recorder.put(record())
    other.close()
    await recorder.close(10)
    await store.close()
    assert by_reference(path, "7QK2M9XA", 10) == [story(record().text())]


async def test_a_store_that_hangs_does_not_keep_the_server_from_stopping(caplog):
    store = FakeStore()
    recorder = await started(store)
    store.free.clear()
    recorder.put(record())
    await recorder.close(0.01)
    assert "1 records are lost" in caplog.text


async def test_a_mistake_in_one_batch_does_not_end_the_writing(caplog):
    store = FakeStore()
    recorder = await started(store)
    store.failures = [ValueError("a mistake")]
    recorder.put(record("A"))
    assert isinstance(await store.wrote(), ValueError)
    recorder.put(record("B"))
    assert await store.wrote() is None
    await recorder.close(10)
    assert store.refs == ["B"]
    assert "1 records cannot be written" in caplog.text


async def test_put_never_raises(caplog):
    recorder = await started(FakeStore())
    recorder.put(Record(float("nan"), "192.0.2.7", "127.0.0.1:25"))
    assert "cannot be kept" in caplog.text
    await recorder.close(10)


async def test_old_records_and_dead_triplets_are_deleted_again_and_again(caplog):
    store, clock = FakeStore(StoreError("locked")), Clock(100_000_000.0)
    recorder = Recorder(store, print, WallClock(clock, clock, soon=0), KEEP, delete_every=0)
    await recorder.start()
    now = clock.now
    assert await store.deleted() == (now - KEEP, now, now - KEEP_DELIVERED, math.inf)
    clock.advance(2 * DAY)  # long enough to believe it, and not what lies far ahead of it
    now = clock.now
    while await store.deleted() != (now - KEEP, now, now - KEEP_DELIVERED, now + 366 * DAY):
        pass
    await recorder.close(10)


async def test_nothing_is_deleted_when_the_clock_has_just_been_set(caplog):
    store, wall, monotonic = FakeStore(), Clock(), Clock()
    recorder = Recorder(store, print, WallClock(wall, monotonic, soon=0), KEEP, delete_every=0)
    await recorder.start()
    await store.deleted()
    assert caplog.messages == []
    wall.advance(400 * DAY)
    while (await store.deleted())[1] != wall.now:
        pass
    assert caplog.messages == ["the clock was set: for some minutes nothing is deleted for its age"]
    await recorder.close(10)


async def test_a_stalled_log_holds_up_neither_the_loop_nor_the_store():
    store, stalled, go_on = FakeStore(), threading.Event(), threading.Event()

    def write(text):
        stalled.set()
        go_on.wait(10)

    recorder = Recorder(store, write, steady(), KEEP, linger=0)
    await recorder.start()
    recorder.put(record("A"))
    await store.wrote()
    await asyncio.to_thread(stalled.wait, 10)
    recorder.put(record("B"))
    await store.wrote()
    assert store.refs == ["A", "B"]
    await recorder.close(0.01)  # and it does not keep the server from stopping
    go_on.set()


def line_of(made):
    lines = []
    log = TransactionLog(lines.append, 10)
    log.start()
    log.put(made)
    log.close(10)
    return json.loads(lines[0])


def test_a_line_tells_the_transaction():
    made = record(helo="mx.example.com", sender="alice@example.com", recipients=["bob@example.org"], size=1234)
    made.outcome, made.decided_by, made.ms = "rejected", "check_dkim", 12.5
    made.via = [{"by": "PROXY v2", "address": "10.0.0.5", "port": 4711, "name": None, "login": None}]
    made.add(made.replies, ReplyEntry("end of data", "550 5.7.20 No passing DKIM signature found"))
    for mode, verdict in (("shadow", "reject"), ("shadow", "dunno"), ("enforce", "reject"), ("shadow", "defer")):
        made.add(made.rules, RuleEntry("mail", f"{mode} {verdict}", mode, verdict=verdict))
    assert line_of(made) == {
        "at": "1970-01-12T13:46:40.500+00:00",
        "ref": "7QK2M9XA",
        "client": "192.0.2.7",
        "via": ["10.0.0.5"],
        "tls": None,
        "helo": "mx.example.com",
        "from": "alice@example.com",
        "to": ["bob@example.org"],
        "outcome": "rejected",
        "decided_by": "check_dkim",
        "reply": "550 5.7.20 No passing DKIM signature found",
        "size": 1234,
        "ms": 12.5,
        "shadow": ["shadow reject", "shadow defer"],
    }


def test_the_line_of_the_manual_is_like_ours():
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    [line] = re.findall(r"```json\n(.+)\n```", page)
    assert [*json.loads(line)] == [*line_of(record())]


def test_nothing_that_a_client_wrote_breaks_a_line():
    made = record(helo="a\r\nb\udcff\u2028", sender='"\x1b[2J"@example.com')
    lines = []
    log = TransactionLog(lines.append, 10)
    log.start()
    log.put(made)
    log.close(10)
    assert lines[0].isascii()
    assert lines[0].isprintable()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_an_output_that_fails_is_tried_again_and_what_was_dropped_is_told(error, caplog):
    caplog.set_level(logging.WARNING)
    attempts, tried = [], threading.Semaphore(0)

    def write(text):
        attempts.append(text)
        tried.release()
        if len(attempts) == 1:
            raise error

    log = TransactionLog(write, 2)
    for ref in "ABC":  # one more than fits
        log.put(record(ref))
    log.start()
    log.flush()
    assert tried.acquire(timeout=10)
    log.put(record("D"))
    log.close(10)
    assert [[json.loads(line)["ref"] for line in text.split("\n")] for text in attempts] == [["B", "C"], ["D"]]
    assert "3 lines of the log were dropped" in caplog.text


async def test_of_several_workers_one_deletes():
    store = FakeStore()
    recorder = Recorder(store, lambda text: None, steady(), KEEP, linger=0, deletes=False)
    await recorder.start()
    recorder.put(record())
    await store.wrote()
    await recorder.close(10)
    assert store.deletions.empty()
