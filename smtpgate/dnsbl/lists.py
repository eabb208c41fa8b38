"""What every check asks lists through: an answer that counts, or the reason why none does."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Any, NamedTuple

from smtpgate.dns.resolver import Answer, Resolver, Status
from smtpgate.dns.time_limit import TIME_IS_OVER
from smtpgate.dnsbl.health import ListHealth
from smtpgate.dnsbl.listing import DnsList
from smtpgate.dnsbl.self_test import Kind, self_test
from smtpgate.values import IPAddress, Network, is_in

_LONGEST_REASON = 200
# A question that was given up after so many seconds counts as one without an answer: who asked has other deadlines.
_LATE = 2.0
# Not all workers test all lists at the same time.
_JITTER = random.SystemRandom()


class ListAnswer(NamedTuple):
    """What a list said about an address or a domain.

    answer: that of the DNS, a failure if the list was not asked. evidence: plain data for the record. codes: what in it
    is a listing and counts, as DnsList.counts() has it. failed: nobody knows (temporary failure, or the list fails and
    was not asked). suspended: it is not believed at present. Both mean "not listed" to who refuses mail by it.
    """

    listing: DnsList
    answer: Answer
    evidence: Mapping[str, Any]
    codes: tuple[IPAddress, ...] = ()
    failed: bool = False
    suspended: bool = False

    @property
    def listed(self) -> bool:
        """Whether it is listed, as far as the rule cares."""
        return bool(self.codes)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, for so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


class DnsLists:
    """Asks lists, and knows which of them can be believed.

    dns: answers from memory where it can; forget: has it forget all names below a domain. uncached: has no memory, for
    self-tests. mynetworks: clients that say nothing about a list. clock: wall time in seconds since 1970; monotonic: in
    seconds. wait: for an event or so many seconds.

    Without start() nothing is tested, and a list is believed until its answers tell against it.
    """

    def __init__(
        self,
        dns: Resolver,
        uncached: Resolver | None = None,
        *,
        forget: Callable[[str], None] = lambda domain: None,
        mynetworks: Sequence[Network] = (),
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = _wait,
    ) -> None:
        self._dns = dns
        self._uncached = uncached or dns
        self._forget = forget
        self._mynetworks = mynetworks
        self._clock = clock
        self._monotonic = monotonic
        self._wait = wait
        self._healths: dict[tuple[str, Kind], ListHealth] = {}
        self._tests: list[asyncio.Task[None]] | None = None

    async def ask(self, listing: DnsList, subject: IPAddress | str, client: IPAddress) -> ListAnswer:
        """Ask a list about an address or, without final dot, a domain. Never raises, except when cancelled.

        client: on whose account, which is the subject itself where that is an address.
        """
        name = listing.question(subject)
        health = self._health(listing, Kind.of(subject))
        if not health.is_asked:
            health.spared()
            return _unbelieved(ListAnswer(listing, Answer(name, "A", Status.FAILURE), {}), health)
        started = self._monotonic()
        try:
            answer = await self._dns.query(name, "A")
        except asyncio.CancelledError:
            if self._monotonic() - started >= _LATE:
                health.was_silent("no answer before a deadline")
            raise
        _note_time(health, answer, self._monotonic() - started)
        if self._tests is not None and not health.tested.is_set():
            await health.tested.wait()
        said = _said(listing, answer)
        if not said.failed:
            counted = None if is_in(client, self._mynetworks) else client
            health.answered(counted, said.listed, listing.refusal(answer.records))
        return _unbelieved(said, health) if health.is_suspended else said

    async def reason(self, answer: ListAnswer) -> str | None:
        """The list's own explanation, often an address to visit (RFC 5782 §2.1): printable, at most 200 characters."""
        return await reason(self._dns, answer)

    def start(self, listings: Iterable[DnsList]) -> None:
        """Test these lists now, and them and all others that are asked from time to time, until close()."""
        self._tests = []
        for health in self._healths.values():
            health.tested.set()
        for listing in listings:
            for kind in (Kind.IPV4, Kind.IPV6) if listing.subjects == "addresses" else (Kind.DOMAINS,):
                self._health(listing, kind)

    async def close(self) -> None:
        """Test no more."""
        tests, self._tests = self._tests or [], None
        for test in tests:
            test.cancel()
        await asyncio.gather(*tests, return_exceptions=True)

    def report(self) -> list[dict[str, Any]]:
        """The health of every list, as plain data."""
        return [health.report() for health in self._healths.values()]

    def _health(self, listing: DnsList, kind: Kind) -> ListHealth:
        health = self._healths.get((listing.zone, kind))
        if health is None:
            health = self._healths[listing.zone, kind] = ListHealth(listing.public_name, kind, self._clock)
            if self._tests is not None:
                # Not on behalf of the session, if one there is, that asked the list first.
                test = asyncio.create_task(self._keep_testing(listing, health), context=Context())
                self._tests.append(test)
        return health

    async def _keep_testing(self, listing: DnsList, health: ListHealth) -> None:
        while True:
            finding = await self_test(self._uncached, listing, health.kind)
            if health.is_suspended and finding.is_good:
                self._forget(listing.zone)  # what it answered while it was wrong
            health.note_test(finding)
            health.changed.clear()
            # What happens meanwhile may call for another pause than the one that has begun.
            while True:
                await self._wait(health.changed, health.pause() * _JITTER.uniform(0.9, 1.1))
                if not health.changed.is_set():
                    break
                health.changed.clear()


def _note_time(health: ListHealth, answer: Answer, seconds: float) -> None:
    """A question about a client has ended after so many seconds."""
    if not answer.failed:
        health.took(seconds)
    elif answer.detail != TIME_IS_OVER or seconds >= _LATE:  # or else a client could silence a list by slow names
        health.was_silent(answer.detail or answer.status.value)


async def ask_once(dns: Resolver, listing: DnsList, subject: IPAddress | str) -> ListAnswer:
    """Ask a list, whether it can be believed or not."""
    return _said(listing, await dns.query(listing.question(subject), "A"))


async def reason(dns: Resolver, answer: ListAnswer) -> str | None:
    """The explanation of an answer: see DnsLists.reason()."""
    texts = await dns.query(answer.answer.name, "TXT")
    if not texts.records:
        return None
    text = texts.records[0].decode("ascii", "replace")
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return answer.listing.hide(printable)[:_LONGEST_REASON].strip() or None


def _said(listing: DnsList, answer: Answer) -> ListAnswer:
    counting = tuple(filter(listing.counts, answer.records)) if answer.records else ()
    return ListAnswer(listing, answer, _evidence(listing, answer), counting, answer.failed)


def _unbelieved(said: ListAnswer, health: ListHealth) -> ListAnswer:
    evidence, suspended = {**said.evidence, **health.standing()}, health.is_suspended
    return ListAnswer(said.listing, said.answer, evidence, failed=not suspended, suspended=suspended)


def _evidence(listing: DnsList, answer: Answer) -> dict[str, Any]:
    """What the list answered, with the key hidden; if anything, which list it is, and what in it is no listing."""
    name, line = listing.public_name, answer.evidence
    seen: dict[str, Any] = {"dns": line if name == listing.zone else listing.hide(line)}
    if answer.records:
        seen["list"] = name
    if faults := [(address, fault) for address in answer.records if (fault := listing.fault(address))]:
        seen["list_error"] = [f"{address}: {fault.why}" for address, fault in faults[:8]]
    return seen
