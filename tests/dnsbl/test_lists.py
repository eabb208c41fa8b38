"""Asking lists: which answers count, and that a list that cannot be believed refuses nobody."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.time_limit import TIME_IS_OVER, LookupTime, session_time
from smtpgate.dnsbl.listing import DnsList, address_list, domain_list
from smtpgate.dnsbl.lists import DnsLists, ListAnswer
from tests.dnsbl.fake_lists import BEHAVIOURS, ListDns, everything, good, parked, refusing, silent
from tests.fakes import Clock
from tests.loops import on_both_loops, until

BL, DBL = address_list("bl.example"), domain_list("dbl.example")
LISTED = ipaddress.ip_address("203.0.113.7")
OTHER = ipaddress.ip_address("198.51.100.7")
NAME = "7.113.0.203"


class Turns:
    """Pauses between self-tests that end when the test says so. pauses: how long each was meant to be."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._waiting: set[asyncio.Event] = set()

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        self.pauses.append(seconds)
        over = asyncio.Event()
        self._waiting.add(over)
        tasks = [asyncio.create_task(event.wait()) for event in (over, changed)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(over)
            for task in tasks:
                task.cancel()

    async def next_test(self, tests: int = 2) -> None:
        """End the pauses of so many tests, which is both IPv4 and IPv6, and wait until the next ones have begun."""
        for _ in range(10):  # a change of state begins another pause first
            await asyncio.sleep(0)
        await until(lambda: len(self._waiting) == tests)
        before = len(self.pauses)
        for over in self._waiting:
            over.set()
        await until(lambda: len(self.pauses) == before + tests and len(self._waiting) == tests)


@asynccontextmanager
async def started(dns: ListDns, *listings: DnsList) -> AsyncIterator[tuple[DnsLists, Turns]]:
    turns = Turns()
    lists = DnsLists(dns, wait=turns.wait, clock=Clock())
    lists.start(listings)
    try:
        yield lists, turns
    finally:
        await lists.close()


def short(answer: ListAnswer) -> str:
    if answer.suspended:
        return "suspended"
    return "failed" if answer.failed else "listed" if answer.listed else "not listed"


@pytest.mark.parametrize(("behaviour", "expected"), [(name, "suspended") for name in BEHAVIOURS if name != "silent"])
@on_both_loops
async def test_no_answer_counts_before_the_first_self_test(behaviour: str, expected: str) -> None:
    dns = ListDns(bl=BEHAVIOURS[behaviour])
    dns.held = asyncio.Event()
    async with started(dns, BL) as (lists, _):
        asked = asyncio.create_task(lists.ask(BL, LISTED, LISTED))
        await until(lambda: NAME in dns.asked)  # it does not wait to ask
        assert not asked.done()
        dns.held.set()
        assert short(await asked) == expected


async def test_a_suspended_list_is_asked_by_the_self_test_alone_and_comes_back() -> None:
    dns = ListDns(bl=everything)
    async with started(dns, BL) as (lists, turns):
        answer = await lists.ask(BL, LISTED, LISTED)
        assert short(answer) == "suspended"
        assert answer.evidence["suspended"] == "it lists 127.0.0.1, so probably everything"
        assert answer.evidence["since"] == "1970-01-12 13:46:40 UTC"
        await until(lambda: len(turns.pauses) >= 2)
        dns.asked.clear()
        assert short(await lists.ask(BL, LISTED, LISTED)) == "suspended"
        assert dns.asked == []
        dns.zones["bl.example"] = good(NAME)
        await turns.next_test()
        assert short(await lists.ask(BL, LISTED, LISTED)) == "listed"
        assert short(await lists.ask(BL, OTHER, OTHER)) == "not listed"
        dns.zones["bl.example"] = parked
        await turns.next_test()
        assert short(await lists.ask(BL, LISTED, LISTED)) == "suspended"


async def test_it_may_be_wrong_about_ipv6_only() -> None:
    def bl(label: str) -> list[str]:
        return ["127.0.0.2"] if len(label) > 15 else good(NAME)(label)

    async with started(ListDns(bl=bl), BL) as (lists, _):
        client = ipaddress.ip_address("2001:db8::7")
        assert short(await lists.ask(BL, client, client)) == "suspended"
        assert short(await lists.ask(BL, LISTED, LISTED)) == "listed"


async def test_a_list_without_ipv6_is_asked_all_the_same() -> None:
    def bl(label: str) -> list[str]:
        return [] if len(label) > 15 else good(NAME)(label)

    async with started(ListDns(bl=bl), BL) as (lists, _):
        client = ipaddress.ip_address("2001:db8::7")
        assert short(await lists.ask(BL, client, client)) == "not listed"


async def test_lists_of_domains() -> None:
    async with started(ListDns(dbl=good("bad.example.net")), DBL) as (lists, _):
        assert short(await lists.ask(DBL, "bad.example.net", LISTED)) == "listed"
        assert short(await lists.ask(DBL, "example.net", LISTED)) == "not listed"
        for number in range(200):  # one client's many names are one client's
            await lists.ask(DBL, "bad.example.net", LISTED)
            assert short(await lists.ask(DBL, f"n{number}.example.net", LISTED)) == "not listed"
    async with started(ListDns(dbl=everything), DBL) as (lists, _):
        assert short(await lists.ask(DBL, "example.net", LISTED)) == "suspended"


async def test_a_question_begins_the_tests_of_a_list_that_no_rule_was_seen_to_name() -> None:
    async with started(ListDns(bl=everything)) as (lists, _):
        assert short(await lists.ask(BL, LISTED, LISTED)) == "suspended"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (refusing, "it answered 127.255.255.254: it refuses open resolvers"),
        (parked, "it answered 198.51.100.80: not in 127.0.0.0/8"),
    ],
)
async def test_it_is_suspended_by_what_it_answers_to_mail_too(behaviour, reason: str) -> None:
    dns = ListDns(bl=good(NAME))
    async with started(dns, BL) as (lists, turns):
        assert short(await lists.ask(BL, LISTED, LISTED)) == "listed"
        await until(lambda: len(turns.pauses) == 2)
        dns.zones["bl.example"] = behaviour
        answer = await lists.ask(BL, LISTED, LISTED)
        assert short(answer) == "suspended"
        assert answer.evidence["suspended"] == reason
        assert answer.evidence["dns"]
        await until(lambda: turns.pauses[-1] < 6 * 60)  # the pause of half an hour is over, a shorter one has begun


async def test_the_tests_that_a_list_in_trouble_gets() -> None:
    dns = ListDns(bl=silent)
    async with started(dns, BL) as (lists, turns):
        for _ in range(5):
            answer = await lists.ask(BL, LISTED, LISTED)
            assert short(answer) == "failed"
        await until(lambda: len(turns.pauses) >= 2)
        dns.asked.clear()
        answer = await lists.ask(BL, LISTED, LISTED)
        assert short(answer) == "failed"
        assert answer.evidence["failing"] == "timed out"
        assert dns.asked == []
        dns.zones["bl.example"] = good(NAME)
        await turns.next_test()
        assert short(await lists.ask(BL, LISTED, LISTED)) == "listed"


async def test_who_gave_up_waiting_has_seen_a_silent_list() -> None:
    dns, clock = ListDns(bl=good()), Clock()
    lists = DnsLists(dns, monotonic=clock)
    dns.held = asyncio.Event()
    for patience in (0.1, 0.1, 0.1, 0.1, 0.1, 3, 3, 3, 3, 3):
        assert lists.report() == [] or lists.report()[0]["state"] == "untested"
        asked = asyncio.create_task(lists.ask(BL, LISTED, LISTED))
        await asyncio.sleep(0)
        clock.advance(patience)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    assert lists.report()[0]["state"] == "failing"
    assert lists.report()[0]["failed"] == 5


async def test_a_list_that_lists_most_clients_is_suspended() -> None:
    lists = DnsLists(ListDns(bl=everything), mynetworks=[ipaddress.ip_network("192.0.2.0/24")])
    ours = ipaddress.ip_address("192.0.2.1")
    answers = []
    for number in range(60):
        client = ipaddress.ip_address(f"203.0.{number}.7")
        answers += [short(await lists.ask(BL, ours, ours)), short(await lists.ask(BL, client, client))]
    assert answers == ["listed"] * 99 + ["suspended"] * 21


async def test_two_filters_of_one_zone_share_its_health() -> None:
    first, second = address_list("bl.example=127.0.0.2"), address_list("bl.example=127.0.0.[4..7]")
    async with started(ListDns(bl=good(NAME, code="127.0.0.4")), first, second) as (lists, _):
        assert short(await lists.ask(first, LISTED, LISTED)) == "not listed"
        assert short(await lists.ask(second, LISTED, LISTED)) == "listed"
        assert [(health["list"], health["kind"]) for health in lists.report()] == [
            ("bl.example", "IPv4"),
            ("bl.example", "IPv6"),
        ]


STEPS = st.lists(st.sampled_from(["good", *BEHAVIOURS, "test", "ask", "ask", "ask others"]), max_size=40)


@given(STEPS)
def test_mail_is_never_refused_by_a_suspended_list(steps: Sequence[str]) -> None:
    """Whatever the list does and whenever it is tested: suspended means not listed and not asked, and a good test ends
    it; a list that would fail the test is believed only until the next one.
    """

    async def play() -> None:
        dns = ListDns(bl=good(NAME))
        async with started(dns, BL) as (lists, turns):
            await until(lambda: len(turns.pauses) == 2)
            behaviour, just_tested = "good", True
            for step in steps:
                if step == "test":
                    await turns.next_test()
                    just_tested = True
                elif step.startswith("ask"):
                    client = LISTED if step == "ask" else OTHER
                    state = lists.report()[0]["state"]
                    dns.asked.clear()
                    answer = await lists.ask(BL, client, client)
                    now = lists.report()[0]["state"]
                    if state in ("suspended", "failing"):
                        assert dns.asked == []
                    if now == "suspended":
                        assert answer.suspended
                    if now in ("suspended", "failing"):
                        assert not answer.listed or (state == "good" and now == "failing")
                    if just_tested and behaviour != "good":
                        assert not answer.listed
                    if just_tested and behaviour == "good":
                        assert answer.listed == (client == LISTED)
                else:
                    behaviour, just_tested = step, False
                    dns.zones["bl.example"] = good(NAME) if step == "good" else BEHAVIOURS[step]

    asyncio.run(play())


async def test_what_it_answered_while_it_was_wrong_is_forgotten() -> None:
    dns, turns, forgotten = ListDns(bl=everything), Turns(), list[str]()
    lists = DnsLists(dns, forget=forgotten.append, wait=turns.wait)
    lists.start([BL])
    await turns.next_test()
    assert forgotten == []
    dns.zones["bl.example"] = good(NAME)
    for _ in range(2):
        await turns.next_test()
        assert forgotten == ["bl.example"] * 2  # IPv4 and IPv6
    await lists.close()


async def test_a_list_is_not_tested_on_behalf_of_the_session_that_asked_it_first() -> None:
    class Noting(ListDns):
        async def query(self, name: str, kind: RecordType) -> Answer:
            behalf[name] = session_time.get()
            return await super().query(name, kind)

    behalf: dict[str, LookupTime | None] = {}
    async with started(Noting(bl=good())) as (lists, _):
        time = LookupTime(20.0, 60.0)
        time.enter()
        await lists.ask(BL, LISTED, LISTED)
    assert {name: of for name, of in behalf.items() if of} == {f"{NAME}.bl.example": time}
    assert len(behalf) > 1


@pytest.mark.parametrize(("waited", "state"), [(0.1, "untested"), (3.0, "failing")])
async def test_a_client_that_used_up_its_time_says_nothing_about_a_list(waited: float, state: str) -> None:
    clock = Clock()

    class OverTime:
        async def query(self, name: str, kind: RecordType) -> Answer:
            clock.advance(waited)
            return Answer(name, kind, Status.FAILURE, detail=TIME_IS_OVER)

    lists = DnsLists(OverTime(), monotonic=clock)
    for _ in range(20):
        assert short(await lists.ask(BL, LISTED, LISTED)) == "failed"
    assert lists.report()[0]["state"] == state
