"""What is remembered of addresses, for how long, and that nobody is asked twice at one time."""

import asyncio

import pytest

from smtpgate.phases.verification import Finding, Verification
from smtpgate.store.verified import Verified
from smtpgate.verify import remembering
from smtpgate.verify.remembering import Lifetimes, RememberingVerifier
from tests.checks.asking import mailbox
from tests.fake_store import FakeVerified
from tests.fakes import Clock

HOUR, DAY = 3600, 86400
YES, NO, NOBODY_KNOWS = Finding.DELIVERABLE, Finding.UNDELIVERABLE, Finding.UNKNOWN
ADDRESS = mailbox("a@Example.net")


class Probe:
    """Finds what the test says. gate: it waits for it. asked: how often."""

    def __init__(self, *findings, gate=None):
        self.findings = list(findings)
        self.gate = gate
        self.asked = 0
        self.reached = asyncio.Event()

    async def __call__(self, address):
        self.asked += 1
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        finding = self.findings.pop(0) if len(self.findings) > 1 else self.findings[0]
        if isinstance(finding, Exception):
            raise finding
        return Verification(finding, "said so")


def verifier_of(probe, store=None, clock=None, **options):
    return RememberingVerifier("sender", probe, store or FakeVerified(), clock or Clock(), **options)


@pytest.mark.parametrize(
    ("finding", "age", "asked"),
    [
        (YES, 7 * DAY - 1, 1),
        (YES, 31 * DAY, 2),
        (NO, 3 * HOUR - 1, 1),
        (NO, 3 * DAY, 2),
        (NO, -3 * DAY, 2),
        (YES, -400 * DAY, 2),
        (NOBODY_KNOWS, 0, 2),
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
async def test_how_long_an_answer_holds(finding, age, asked, restarted):
    probe, store, clock = Probe(finding), FakeVerified(), Clock()
    verifier = verifier_of(probe, store, clock)
    first = await verifier.verify(ADDRESS)
    clock.advance(age)
    if restarted:
        verifier = verifier_of(probe, store, clock)
    again = await verifier.verify(ADDRESS)
    assert (first.finding, again.finding) == (finding, finding)
    assert again.reason == "said so"
    assert probe.asked == asked


@pytest.mark.parametrize(
    ("before", "after", "age"),
    [(YES, NO, 7 * DAY), (NO, YES, 3 * HOUR), (YES, NO, -1), (NO, YES, -3 * DAY + 1)],  # below 0: the clock is set back
)
async def test_an_old_answer_is_given_and_asked_for_anew(before, after, age):
    probe, clock = Probe(before, after), Clock()
    verifier = verifier_of(probe, clock=clock)
    await verifier.verify(ADDRESS)
    clock.advance(age)
    assert (await verifier.verify(ADDRESS)).finding is before
    while verifier._probes:
        await asyncio.wait(list(verifier._probes.values()))
    assert (await verifier.verify(ADDRESS)).finding is after
    assert probe.asked == 2


async def test_a_failure_does_not_replace_what_is_known():
    probe, clock = Probe(YES, NOBODY_KNOWS), Clock()
    verifier = verifier_of(probe, clock=clock)
    await verifier.verify(ADDRESS)
    clock.advance(8 * DAY)
    for _ in range(2):
        assert (await verifier.verify(ADDRESS)).finding is YES
        await asyncio.gather(*verifier._probes.values())


async def test_the_row_says_when_it_may_be_deleted():
    store, clock = FakeVerified(), Clock(now=1000.0)
    await verifier_of(Probe(NO), store, clock).verify(ADDRESS)
    assert store.rows == {("sender", "a@example.net"): (Verified(False, "said so", 1000.0), 1000.0 + 3 * DAY)}


async def test_who_asks_at_the_same_time_shares_a_probe():
    gate = asyncio.Event()
    probe = Probe(YES, gate=gate)
    verifier = verifier_of(probe)
    asking = [asyncio.create_task(verifier.verify(ADDRESS)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    assert {(await task).finding for task in asking} == {YES}
    assert probe.asked == 1


async def test_who_does_not_wait_any_longer_finds_the_answer_the_next_time():
    gate = asyncio.Event()
    verifier = verifier_of(Probe(YES, gate=gate), lifetimes=Lifetimes(wait=0.01))
    assert (await verifier.verify(ADDRESS)).finding is Finding.PENDING
    gate.set()
    await asyncio.gather(*verifier._probes.values())
    assert (await verifier.verify(ADDRESS)).finding is YES


async def test_a_cancelled_caller_leaves_the_probe_alone():
    gate = asyncio.Event()
    probe = Probe(YES, gate=gate)
    verifier = verifier_of(probe)
    asking = asyncio.create_task(verifier.verify(ADDRESS))
    await probe.reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    gate.set()
    await asyncio.gather(*verifier._probes.values())
    assert (await verifier.verify(ADDRESS)).finding is YES
    assert probe.asked == 1


async def test_there_are_never_more_probes_than_allowed():
    verifier = verifier_of(Probe(YES, gate=asyncio.Event()), most=2, lifetimes=Lifetimes(wait=0.01))
    found = [(await verifier.verify(mailbox(f"{user}@x.example"))).finding for user in "abc"]
    assert found == [Finding.PENDING, Finding.PENDING, NOBODY_KNOWS]
    await verifier.close()
    assert not verifier._probes


async def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(remembering, "_IN_MEMORY", 3)
    verifier = verifier_of(Probe(YES))
    for user in "abcde":
        await verifier.verify(mailbox(f"{user}@x.example"))
    assert list(verifier._memory) == ["c@x.example", "d@x.example", "e@x.example"]


async def test_without_the_store_memory_serves():
    probe = Probe(YES)
    verifier = verifier_of(probe, FakeVerified(broken=True))
    assert [(await verifier.verify(ADDRESS)).finding for _ in range(2)] == [YES, YES]
    assert probe.asked == 1


async def test_a_mistake_in_a_probe_is_no_answer():
    verifier = verifier_of(Probe(ValueError("oops")))
    found = await verifier.verify(ADDRESS)
    assert (found.finding, found.evidence) == (NOBODY_KNOWS, {"failed": "ValueError: oops"})
