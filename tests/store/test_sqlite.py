"""The store on SQLite: durable, and shared."""

import asyncio
import sys

import pytest

from smtpgate.record import RuleEntry, story
from smtpgate.store.greylist import Seen, StoreError, Triplet
from smtpgate.store.lookup import by_address, by_reference
from smtpgate.store.sqlite import SqliteStore, open_store
from smtpgate.store.verified import Verified
from tests.store.stories import ALICE, OPTIONS, begun, held, row, rows


async def test_greylist_survives_a_restart(path):
    first = open_store(f"sqlite:///{path}")
    assert await first.greylist(ALICE, 1000.0, **OPTIONS) == Seen(1000.0, 0)
    await first.close()
    second = open_store(f"sqlite:///{path}")
    assert await second.greylist(ALICE, 1300.0, **OPTIONS) == Seen(1000.0, 1)
    await second.close()


DAY = 86_400.0


@pytest.mark.parametrize(
    ("attempts", "seen"),
    [
        ([0.0, 299.0], Seen(0.0, 0)),
        ([0.0, 300.0], Seen(0.0, 1)),
        ([0.0, 100.0, 299.0, 300.0], Seen(0.0, 1)),
        ([0.0, 300.0, 301.0], Seen(0.0, 2)),
        ([0.0, 2 * DAY - 1], Seen(0.0, 1)),
        ([0.0, 2 * DAY], Seen(2 * DAY, 0)),  # never passed: forgotten
        ([0.0, 200.0, 2 * DAY], Seen(2 * DAY, 0)),  # counted from the first attempt, not from the last
        ([0.0, 300.0, 300.0 + 35 * DAY - 1], Seen(0.0, 2)),
        ([0.0, 300.0, 300.0 + 35 * DAY], Seen(300.0 + 35 * DAY, 0)),  # passed, then not seen for too long
        ([0.0, 300.0, 20 * DAY, 40 * DAY, 60 * DAY], Seen(0.0, 4)),
        ([0.0, -5.0], Seen(-5.0, 0)),  # the clock was set back
        ([50 * DAY, 0.0, 299.0], Seen(0.0, 0)),
        ([50 * DAY, 0.0, 300.0], Seen(0.0, 1)),
        ([50 * DAY, 51 * DAY, 0.0], Seen(0.0, 2)),
    ],
)
async def test_what_the_greylist_remembers(store, attempts, seen):
    for now in attempts:
        last = await store.greylist(ALICE, now, **OPTIONS)
    assert last == seen


async def test_a_record_is_found_by_everything_that_names_it(store, path):
    written = row(sender="Alice@Example.COM", recipients=["bob@example.org", "Carol@example.org"])
    await store.write_records([written, row("00000000", client="2001:db8::1")])
    assert by_reference(path, "7QK2M9XA", 10) == [story(written.story)]
    for address in ("alice@example.com", "BOB@example.org", "carol@example.org", "192.0.2.7"):
        assert by_address(path, address, 10) == [story(written.story)]
    assert by_address(path, "dave@example.org", 10) == []


async def test_the_newest_come_first_within_the_limit(store, path):
    await store.write_records([row(f"0000000{n}", at=n) for n in range(5)])
    await store.write_records([row("00000005", at=5)])
    assert [found["ref"] for found in by_address(path, "192.0.2.7", 3)] == ["00000005", "00000004", "00000003"]


@pytest.mark.parametrize(
    "text", ["\udcff\udcfe@example.com", "ünï@example.com", "a\0b@example.com", '"\\"@x', "€" * 300]
)
async def test_whatever_a_client_writes_can_be_stored(store, path, text):
    await store.write_records([row(sender=text, helo=text, recipients=[text])])
    assert by_reference(path, "7QK2M9XA", 1)[0]["sender"] == text
    await store.greylist(Triplet("192.0.2.0/24", text, text), 1.0, **OPTIONS)
    assert (await store.greylist(Triplet("192.0.2.0/24", text, text), 301.0, **OPTIONS)).passes == 1


async def test_evidence_that_is_no_json_does_not_stop_the_others(store, path):
    evidence = {"nan": float("nan"), "object": object(), "bytes": b"\xff"}
    odd = row("00000000", rules=[RuleEntry("mail", "check_odd", "enforce", evidence=evidence)])
    await store.write_records([odd, row()])
    assert len(by_address(path, "192.0.2.7", 10)) == 2


async def test_what_is_old_is_deleted_in_batches(store, path):
    await store.write_records([row("0000000A", at=n, recipients=["bob@example.org"]) for n in range(450)])
    await store.write_records([row("0000000B", at=450.0)])
    await asyncio.gather(*(store.greylist(Triplet(str(n), "", ""), 0.0, **OPTIONS) for n in range(300)))
    await store.greylist(ALICE, 1.0, **OPTIONS)
    assert await store.delete_before(record_at=450.0, greylist_at=OPTIONS["window"], delivered_at=0) == 450 + 300
    assert rows(path, "SELECT ref FROM record") == [("0000000B",)]
    assert rows(path, "SELECT count(*) FROM record_address") == [(1,)]
    assert rows(path, "SELECT client FROM greylist") == [(ALICE.client,)]


YEAR = 366 * DAY


async def test_what_lies_far_ahead_is_deleted_too_but_not_what_was_promised_for_long(store, path):
    now, wrong = 1e9, 1e9 + 10 * YEAR
    await store.write_records([row(f"0000000{at:.0e}"[:8], at=at) for at in (now, now + YEAR, wrong)])
    for name, at in (("kept", now), ("absurd", wrong)):
        await store.greylist(Triplet(name, "", ""), at, delay=0.0, window=1.0, lifetime=20 * YEAR)
        await store.remember("d1", [name], at)
        await store.remember_verified("sender", name, Verified(True, "", at), at + 20 * YEAR)
    times = {"record_at": now - DAY, "greylist_at": now, "delivered_at": now - DAY}
    assert await store.delete_before(**times) == 0
    assert await store.delete_before(**times, ahead=now + YEAR) == 4
    assert rows(path, "SELECT at FROM record ORDER BY at") == [(now,), (now + YEAR,)]
    assert rows(path, "SELECT client FROM greylist") == [("kept",)]
    assert await store.delivered("d1") == {"kept"}
    assert rows(path, "SELECT address FROM verified_address") == [("kept",)]


async def test_who_has_a_message_is_remembered_over_a_restart(path):
    first = open_store(f"sqlite:///{path}")
    await first.remember("d1", ["a@example.org", "é@example.org"], 1000.0)
    await first.remember("d2", ["c@example.org"], 1000.0)
    await first.close()
    second = open_store(f"sqlite:///{path}")
    assert await second.delivered("d1") == {"a@example.org", "é@example.org"}
    assert await second.delivered("d3") == frozenset()
    await second.close()


async def test_who_has_a_message_is_forgotten_when_its_client_knows(store):
    await store.remember("d1", ["a@example.org", "é@example.org", "c@example.org"], 1000.0)
    await store.remember("d2", ["a@example.org"], 1000.0)
    await store.forget("d1", ["a@example.org", "é@example.org", "d@example.org"])
    assert await store.delivered("d1") == {"c@example.org"}
    assert await store.delivered("d2") == {"a@example.org"}


async def test_who_has_a_message_is_forgotten_in_time(store):
    await store.remember("d1", [f"{n}@example.org" for n in range(250)], 1000.0)
    await store.remember("d1", ["0@example.org"], 2000.0)  # counted from the last time
    assert await store.delete_before(record_at=0, greylist_at=0, delivered_at=2000.0) == 249
    assert await store.delivered("d1") == {"0@example.org"}


async def test_all_that_waits_goes_into_one_commit(store, path, monkeypatch):
    groups, commit = [], store._commit
    monkeypatch.setattr(store, "_commit", lambda group: groups.append(len(group)) or commit(group))
    hold, go_on = held(store)
    greylisting = (store.greylist(ALICE, float(n), **OPTIONS) for n in range(20))
    requests = await begun(*greylisting, store.write_records([row()]))
    go_on.set()
    await asyncio.gather(hold, *requests)
    assert groups == [1, 21]


async def test_nobody_hears_of_success_before_the_commit(store, path):
    seen_outside = []
    hold, go_on = held(store)
    written = store._request(lambda connection: connection.execute("DELETE FROM alembic_version"))
    written.add_done_callback(lambda _: seen_outside.append(rows(path, "SELECT count(*) FROM alembic_version")))
    go_on.set()
    await asyncio.gather(hold, written)
    assert seen_outside == [[(0,)]]


async def test_a_failing_request_of_a_group_fails_alone(store, path):
    hold, go_on = held(store)
    (before,) = await begun(store.greylist(ALICE, 1.0, **OPTIONS))
    failing = store._request(lambda connection: connection.execute("INSERT INTO nothing VALUES (1)"))
    mistaken = store._request(lambda connection: {}["no such key"])
    (after,) = await begun(store.write_records([row()]))
    go_on.set()
    results = await asyncio.gather(hold, before, failing, mistaken, after, return_exceptions=True)
    assert results[1] == Seen(1.0, 0)
    assert isinstance(results[2], StoreError)
    assert isinstance(results[3], KeyError)
    assert rows(path, "SELECT count(*) FROM greylist") == [(1,)]
    assert by_reference(path, "7QK2M9XA", 1)


async def test_a_request_of_several_statements_is_undone_whole(store, path):
    await store.greylist(ALICE, 1.0, **OPTIONS)
    rows(path, "DROP TABLE record_address")
    hold, go_on = held(store)
    writing, greylisting = await begun(store.write_records([row()]), store.greylist(ALICE, 301.0, **OPTIONS))
    go_on.set()
    results = await asyncio.gather(hold, writing, greylisting, return_exceptions=True)
    assert isinstance(results[1], StoreError)
    assert results[2] == Seen(1.0, 1)
    assert rows(path, "SELECT count(*) FROM record") == [(0,)]


async def test_who_gives_up_does_not_disturb_the_others(store, path):
    hold, go_on = held(store)
    given_up, other = await begun(store.greylist(ALICE, 1.0, **OPTIONS), store.greylist(ALICE, 2.0, **OPTIONS))
    given_up.cancel()
    go_on.set()
    await hold
    assert (await other).passes == 0
    assert given_up.cancelled()


async def test_close_finishes_what_was_asked_for(path):
    store = SqliteStore(path)
    hold, go_on = held(store)
    (writing,) = await begun(store.write_records([row()]))
    go_on.set()
    await store.close()
    await asyncio.gather(hold, writing)
    assert by_reference(path, "7QK2M9XA", 1)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.greylist(ALICE, 1.0, **OPTIONS)


WRITER = """
import asyncio, sys
from smtpgate.record import Record
from smtpgate.store.greylist import Triplet
from smtpgate.store.record_row import row_of
from smtpgate.store.sqlite import open_store

async def main(url, name):
    store = open_store(url)
    row = row_of(Record(1.0, "192.0.2.7", "127.0.0.1:25", ref=name))
    for n in range(50):
        await asyncio.gather(
            store.write_records([row, row]),
            *(store.greylist(Triplet("net", "s", str(n)), 1.0, delay=0, window=9.0, lifetime=9.0) for _ in range(3)),
        )
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_share_one_file_without_losing_anything(tmp_path):
    path = tmp_path / "smtpgate.db"  # nobody has created it yet
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, f"sqlite:///{path}", name)
        for name in ("0000000A", "0000000B", "0000000C")
    ]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    assert rows(path, "SELECT ref, count(*) FROM record GROUP BY ref ORDER BY ref") == [
        ("0000000A", 100),
        ("0000000B", 100),
        ("0000000C", 100),
    ]
    # Each attempt of each process was counted.
    assert rows(path, "SELECT count(*), min(passes), max(passes) FROM greylist") == [(50, 9, 9)]


def test_a_story_is_kept_to_the_letter(path):
    async def write():
        store = SqliteStore(path)
        await store.write_records([row(recipients=['"quoted\\"@example.org'])])
        await store.close()

    asyncio.run(write())
    ((text,),) = rows(path, "SELECT story FROM record")
    assert story(text)["recipients"] == ['"quoted\\"@example.org']


async def test_verified_addresses_are_kept_replaced_and_deleted(store):
    known = Verified(True, "Ok \udcff", 1000.0)
    assert await store.verified("sender", "a@x") is None
    await store.remember_verified("sender", "a@x", known, 2000.0)
    assert await store.verified("sender", "a@x") == known._replace(reason="Ok \\udcff")
    assert await store.verified("recipient", "a@x") is None
    gone = Verified(False, "No such user", 1500.0)
    await store.remember_verified("sender", "a@x", gone, 3000.0)
    await store.delete_before(record_at=0, greylist_at=2999.0, delivered_at=0)
    assert await store.verified("sender", "a@x") == gone
    await store.delete_before(record_at=0, greylist_at=3000.0, delivered_at=0)
    assert await store.verified("sender", "a@x") is None
