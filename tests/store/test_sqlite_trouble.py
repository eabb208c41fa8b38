"""The store on SQLite when its file is locked, lost, damaged or full: it is never far from working again."""

import asyncio
import os
import shutil
import sqlite3
import sys

import pytest

from smtpgate.store.greylist import Seen, StoreError
from smtpgate.store.lookup import by_address, by_reference
from smtpgate.store.sqlite import SqliteStore
from tests.store.stories import ALICE, OPTIONS, begun, held, row, rows


@pytest.fixture
async def impatient(path):
    """A store that waits for no lock."""
    store = SqliteStore(path, busy_timeout=0.01)
    yield store
    await store.close()


async def test_a_locked_file_is_store_error_until_it_is_free(impatient, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        await impatient.greylist(ALICE, 1.0, **OPTIONS)
    other.execute("ROLLBACK")
    assert await impatient.greylist(ALICE, 2.0, **OPTIONS) == Seen(2.0, 0)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        await impatient.write_records([row()])
    other.close()
    await impatient.write_records([row()])


async def test_while_it_is_locked_one_at_a_time_waits_and_the_others_hear_at_once(impatient, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        await impatient.greylist(ALICE, 1.0, **OPTIONS)
    other.close()
    hold, go_on = held(impatient)  # the one that finds out takes its time
    for _ in range(2):
        with pytest.raises(StoreError, match="locked"):
            await impatient.greylist(ALICE, 2.0, **OPTIONS)
    go_on.set()
    await hold
    assert await asyncio.gather(*(impatient.greylist(ALICE, at, **OPTIONS) for at in (3.0, 3.0))) == [Seen(3.0, 0)] * 2


async def test_waiting_for_a_lock_does_not_hold_up_the_loop(path):
    patient = SqliteStore(path, busy_timeout=60.0)
    await patient.greylist(ALICE, 1.0, **OPTIONS)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    (request,) = await begun(patient.greylist(ALICE, 2.0, **OPTIONS))
    # Were the loop held up, nobody could end the other's transaction in time.
    other.execute("ROLLBACK")
    assert await request == Seen(1.0, 0)
    other.close()
    await patient.close()


def delete(path):
    path.unlink()


def delete_directory(path):
    shutil.rmtree(path.parent)


def empty(path):
    path.with_suffix(".new").touch()
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("lose", [delete, delete_directory, empty])
async def test_a_lost_database_is_created_again(store, path, lose):
    await store.greylist(ALICE, 1.0, **OPTIONS)
    lose(path)
    assert await store.greylist(ALICE, 2.0, **OPTIONS) == Seen(2.0, 0)
    await store.write_records([row()])
    assert by_reference(path, "7QK2M9XA", 1)


async def test_two_who_lose_the_database_share_the_new_one(store, path):
    other = SqliteStore(path, busy_timeout=60.0)
    await asyncio.gather(store.greylist(ALICE, 1.0, **OPTIONS), other.greylist(ALICE, 1.0, **OPTIONS))
    path.unlink()
    seen = await asyncio.gather(store.greylist(ALICE, 2.0, **OPTIONS), other.greylist(ALICE, 2.0, **OPTIONS))
    assert seen == [Seen(2.0, 0)] * 2
    await store.write_records([row("0000000A")])
    await other.write_records([row("0000000B")])
    await other.close()
    assert len(by_address(path, "192.0.2.7", 10)) == 2


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
print(connection.execute("SELECT count(*) FROM record").fetchone()[0], flush=True)
sys.stdin.read()
"""


async def test_who_still_reads_the_deleted_database_does_not_spoil_the_new_one(store, path):
    await store.write_records([row("0000000A", helo="x" * 10_000)] * 50)
    # It keeps the old write-ahead log open and locked; SQLite locks out other processes only.
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READER, path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert await reader.stdout.readline() == b"50\n"
    path.unlink()
    await store.write_records([row("0000000B")])
    await reader.communicate(b"")
    await store.write_records([row("0000000C")])
    assert [found["ref"] for found in by_address(path, "192.0.2.7", 10)] == ["0000000C", "0000000B"]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_corrupt_database_is_store_error_and_left_for_the_administrator(store, path):
    await store.greylist(ALICE, 1.0, **OPTIONS)
    garbage = path.with_suffix(".new")
    garbage.write_bytes(os.urandom(50_000))
    garbage.replace(path)
    with pytest.raises(StoreError, match="not a database"):
        await store.greylist(ALICE, 2.0, **OPTIONS)
    path.unlink()
    assert await store.greylist(ALICE, 3.0, **OPTIONS) == Seen(3.0, 0)


async def test_a_full_disk_is_store_error_until_there_is_room(store, path):
    async def pages(most):
        await store._request(lambda connection: connection.execute(f"PRAGMA max_page_count = {most}").fetchone())

    await pages(1)
    connection = store._connection
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            await store.write_records([row(helo="x" * 100_000)])
    # It is kept: with a new one for each try, a full disk would cost more than the mail.
    assert store._connection is connection
    await pages(1_000_000)
    await store.write_records([row(helo="x" * 100_000)])
    assert len(by_address(path, "192.0.2.7", 10)) == 1


async def test_a_full_queue_refuses_at_once(path):
    store = SqliteStore(path, queue_size=2)
    hold, go_on = held(store)
    waiting = await begun(*(store.greylist(ALICE, 1.0, **OPTIONS) for _ in range(2)))
    with pytest.raises(StoreError, match="2 requests are waiting already"):
        await store.greylist(ALICE, 1.0, **OPTIONS)
    go_on.set()
    assert await asyncio.gather(hold, *waiting) == [None, Seen(1.0, 0), Seen(1.0, 0)]
    await store.close()
