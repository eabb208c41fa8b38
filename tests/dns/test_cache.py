import asyncio

import pytest

from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.resolver import Answer, Status
from tests.fakes import Clock, FakeDns


class Asking:
    """Puts the cache's questions to a fake, as tasks. waiters: who waits for the last one."""

    def __init__(self, dns):
        self.dns = dns
        self.tasks = set()

    def ask(self, name, kind, waiters, then):
        task = asyncio.create_task(self.dns.query(name, kind))
        task.add_done_callback(lambda done: then(done.result()))
        self.tasks.add(task)
        self.waiters = waiters


class Turn:
    """Awaited: every other task that can run does so once."""

    def __await__(self):
        yield


async def turns():
    for _ in range(5):
        await Turn()


@pytest.mark.parametrize(
    ("zone", "kept_for"),
    [
        ({"A": {"d": ["192.0.2.1"]}, "ttl": 300}, 300),
        ({"A": {"d": ["192.0.2.1"]}, "ttl": 10_000_000}, 86_400),
        ({"TXT": {"d": ["no data"]}, "ttl": 60}, 60),
        ({"ttl": 60}, 60),
        ({"fail": {"d"}, "ttl": 0}, 5),
        ({"fail": {"d"}, "ttl": 300}, 5),
    ],
)
async def test_an_answer_is_kept_as_long_as_it_may_be(zone, kept_for):
    dns, clock = FakeDns(**zone), Clock()
    cache = CachingResolver(Asking(dns), clock)
    first = await cache.query("d", "A")
    clock.advance(kept_for - 0.1)
    assert await cache.query("d", "A") == first
    assert len(dns.asked) == 1
    clock.advance(0.2)
    assert await cache.query("d", "A") == first
    assert len(dns.asked) == 2


async def test_an_answer_without_ttl_is_not_kept():
    dns = FakeDns(A={"d": ["192.0.2.1"]}, ttl=0)
    cache = CachingResolver(Asking(dns), Clock())
    await cache.query("d", "A")
    await cache.query("d", "A")
    assert len(dns.asked) == 2


async def test_spelling_and_type():
    dns = FakeDns(A={"d.example": ["192.0.2.1"]})
    cache = CachingResolver(Asking(dns), Clock())
    for name in ("d.example", "D.Example", "d.example."):
        assert (await cache.query(name, "A")).name == "d.example"
    await cache.query("d.example", "MX")
    assert dns.asked == [("d.example", "A"), ("d.example", "MX")]


@pytest.mark.parametrize("name", ["bücher.example", "\u212a.example"])
async def test_names_that_are_not_ascii_are_not_asked(name):
    dns = FakeDns(A={"k.example": ["192.0.2.1"]})
    answer = await CachingResolver(Asking(dns), Clock()).query(name, "A")
    assert (answer.status, answer.records) == (Status.NO_NAME, ())
    assert dns.asked == []


@pytest.mark.parametrize("name", ["x" * 63 + ".example", ".".join(["x" * 49] * 5) + ".abc", "_dmarc.example"])
async def test_long_names_are_asked(name):
    dns = FakeDns()
    await CachingResolver(Asking(dns), Clock()).query(name, "TXT")
    assert dns.asked == [(name, "TXT")]


async def test_the_least_recently_used_goes_first():
    dns = FakeDns(A={name: ["192.0.2.1"] for name in "abcd"})
    cache = CachingResolver(Asking(dns), Clock(), size=3)
    for name in "abc" + "a" + "d" + "a":
        await cache.query(name, "A")
    assert [name for name, _ in dns.asked] == ["a", "b", "c", "d"]
    await cache.query("b", "A")
    assert dns.asked[-1] == ("b", "A")


async def test_an_outsized_answer_takes_the_room_of_several():
    dns = FakeDns(A={name: ["192.0.2.1"] for name in "abc"}, TXT={"big": ["x" * 2000]})
    cache = CachingResolver(Asking(dns), Clock(), size=4)
    for name in "abc":
        await cache.query(name, "A")
    await cache.query("big", "TXT")
    for name in "cba":
        await cache.query(name, "A")
    assert [name for name, _ in dns.asked] == ["a", "b", "c", "big", "b", "a"]


async def test_one_answer_larger_than_all_the_room_is_not_kept():
    dns = FakeDns(TXT={"big": ["x" * 20_000]})
    cache = CachingResolver(Asking(dns), Clock(), size=4)
    for _ in range(2):
        assert (await cache.query("big", "TXT")).status is Status.ANSWER
    assert len(dns.asked) == 2


async def test_an_expired_answer_gives_its_room_back():
    dns, clock = FakeDns(A={name: ["192.0.2.1"] for name in "ab"}), Clock()
    cache = CachingResolver(Asking(dns), clock, size=2)
    for _ in range(5):
        await cache.query("a", "A")
        await cache.query("b", "A")
        clock.advance(301)
    await cache.query("a", "A")
    await cache.query("b", "A")
    asked = len(dns.asked)
    await cache.query("a", "A")
    assert len(dns.asked) == asked == 12


async def test_identical_questions_in_flight_share_one_query():
    gate = asyncio.Event()
    dns = FakeDns(A={"d": ["192.0.2.1"]}, gate={"d": gate}, ttl=0)
    cache = CachingResolver(Asking(dns), Clock())
    asking = [asyncio.create_task(cache.query(name, "A")) for name in ("d", "D", "d.")]
    await turns()
    assert dns.asked == [("d", "A")]
    gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {Status.ANSWER}
    assert len(dns.asked) == 1


async def test_one_callers_cancellation_does_not_cancel_the_other():
    gate = asyncio.Event()
    dns = FakeDns(A={"d": ["192.0.2.1"]}, gate={"d": gate})
    cache = CachingResolver(Asking(dns), Clock())
    first, second = (asyncio.create_task(cache.query("d", "A")) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    gate.set()
    assert (await second).status is Status.ANSWER
    assert first.cancelled()
    assert len(dns.asked) == 1


async def test_a_question_that_nobody_waits_for_is_told_so_and_its_answer_is_kept():
    gate = asyncio.Event()
    dns = FakeDns(A={"d": ["192.0.2.1"]}, gate={"d": gate})
    inner = Asking(dns)
    cache = CachingResolver(inner, Clock())
    tasks = [asyncio.create_task(cache.query("d", "A")) for _ in range(2)]
    await turns()
    tasks[0].cancel()
    await turns()
    assert [waiter.done() for waiter in inner.waiters] == [True, False]
    tasks[1].cancel()
    await turns()
    assert [waiter.done() for waiter in inner.waiters] == [True, True]
    gate.set()
    await turns()
    assert (await cache.query("d", "A")).status is Status.ANSWER
    assert len(dns.asked) == 1


async def test_a_question_that_was_given_up_can_be_wanted_again():
    gate = asyncio.Event()
    dns = FakeDns(A={"d": ["192.0.2.1"]}, gate={"d": gate})
    inner = Asking(dns)
    cache = CachingResolver(inner, Clock())
    task = asyncio.create_task(cache.query("d", "A"))
    await turns()
    task.cancel()
    await turns()
    again = asyncio.create_task(cache.query("d", "A"))
    await turns()
    assert [waiter.done() for waiter in inner.waiters] == [True, False]
    gate.set()
    assert (await again).status is Status.ANSWER
    assert len(dns.asked) == 1


async def test_a_failure_that_nobody_waited_for_is_not_kept():
    gate = asyncio.Event()
    dns = FakeDns(fail={"d"}, gate={"d": gate})
    cache = CachingResolver(Asking(dns), Clock())
    task = asyncio.create_task(cache.query("d", "A"))
    await turns()
    task.cancel()
    await turns()
    gate.set()
    await turns()
    assert len(cache) == 0


async def test_an_answer_that_comes_at_once():
    class Immediate:
        def ask(self, name, kind, waiters, then):
            then(Answer(name, kind, Status.NO_DATA, ttl=60))

    cache = CachingResolver(Immediate(), Clock())
    for _ in range(2):
        assert (await cache.query("d", "A")).status is Status.NO_DATA
    assert cache.facts() == {"kept": 1, "from_memory": 1, "shared": 0, "asked": 1}


async def test_names_below_a_domain_can_be_forgotten():
    dns = FakeDns(A={"a.bl.example": ["127.0.0.2"], "a.notbl.example": ["127.0.0.2"]})
    resolver = CachingResolver(Asking(dns))
    for _ in range(2):
        await resolver.query("a.bl.example", "A")
        await resolver.query("a.notbl.example", "A")
    assert len(dns.asked) == 2
    resolver.forget("bl.example")
    assert len(resolver) == 1
    await resolver.query("a.notbl.example", "A")
    assert len(dns.asked) == 2
    await resolver.query("a.bl.example", "A")
    assert len(dns.asked) == 3
