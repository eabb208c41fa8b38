"""What a worker counts and reports."""

import asyncio
import itertools
import json
import socket

from smtpgate.record import Record
from smtpgate.server.facts import Rate, Tally
from smtpgate.server.reports import Reporter


def test_outcomes_are_counted_and_records_passed_on() -> None:
    passed: list[Record] = []
    tally = Tally(passed.append)
    for outcome in ("accepted", "rejected", "accepted"):
        tally.put(Record(1.0, "192.0.2.1", "127.0.0.1:25", outcome=outcome))
    assert tally.outcomes == {"accepted": 2, "rejected": 1}
    assert [record.outcome for record in passed] == ["accepted", "rejected", "accepted"]


def test_the_rate_is_that_of_the_last_minute() -> None:
    rate = Rate()
    assert rate.sample(0, 5) == 0
    assert [rate.sample(second, 5 + 2 * second) for second in range(1, 61)] == [2.0] * 60
    quiet = [rate.sample(second, 125) for second in range(61, 122)]
    assert quiet == sorted(quiet, reverse=True)
    assert quiet[29] == 1.0
    assert quiet[-1] == 0


async def test_a_report_at_once_and_a_last_one() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    lost = asyncio.Event()
    reporter = await Reporter.on(theirs, lost.set)
    sessions = itertools.count(1)
    reporter.start(lambda: {"sessions": next(sessions)})
    async with asyncio.timeout(10):
        assert json.loads(await reader.readline()) == {"sessions": 1}
        reporter.close()
        *_, last = (await reader.read()).splitlines()  # a slow machine has it report once more in between
    assert json.loads(last)["sessions"] >= 2
    assert not lost.is_set()
    writer.close()


async def test_the_supervisor_is_gone() -> None:
    ours, theirs = socket.socketpair()
    lost = asyncio.Event()
    reporter = await Reporter.on(theirs, lost.set)
    reporter.start(dict)
    ours.close()
    async with asyncio.timeout(10):
        await lost.wait()


async def test_a_supervisor_that_does_not_read_gets_the_newest_report_when_it_does() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reporter = await Reporter.on(theirs, lambda: None)
    reporter.start(lambda: {"long": "x" * 1_000_000})
    transport = reporter._transport
    waiting = transport.get_write_buffer_size()
    assert waiting
    reporter.report()
    assert transport.get_write_buffer_size() == waiting
    ours.close()
    transport.abort()
    await asyncio.sleep(0)
