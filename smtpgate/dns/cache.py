"""A resolver in front of another one: it remembers answers, asks a question only once at a time, and for so long only.

How long is for the session to say on whose behalf it is asked.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.time_limit import TIME_IS_OVER, Waiter, session_time

_MAX_AGE = 86_400  # seconds; RFC 8767 §4 calls for a cap, and nobody waits longer than a day for a corrected record
_FAILURE_AGE = 5  # seconds; RFC 2308 §7.1 allows 300, but a retry a minute later should see the repaired server
_ORDINARY = 1024  # octets of records in an answer that counts as one

_Question = tuple[str, RecordType]


class Asker(Protocol):
    """What asks on behalf of the cache: StubResolver."""

    def ask(self, name: str, kind: RecordType, waiters: Sequence[Waiter], then: Callable[[Answer], None]) -> object:
        """Ask one question. Never raises.

        waiters: who waits for the answer; those that are done do so no longer. then: called once with it, perhaps
        before this returns.
        """
        ...


class CachingResolver:
    """Answers from memory while the TTL lasts, and else asks inner. To be made on the event loop that uses it.

    clock: monotonic, in seconds. size: how many answers of ordinary size are kept, the least recently used going
    first; an outsized one counts for several, because whoever sends us mail chooses which answers we get to see.
    The ttl of an answer from memory is the one that it came with.
    """

    def __init__(self, inner: Asker, clock: Callable[[], float] = time.monotonic, size: int = 50_000) -> None:
        self._loop = asyncio.get_running_loop()
        self._inner = inner
        self._clock = clock
        self._room = size
        self._kept: OrderedDict[_Question, tuple[Answer, float]] = OrderedDict()
        self._asking: dict[_Question, list[Waiter]] = {}
        self._hits = self._misses = self._shared = 0

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled.

        On behalf of a session it fails when that has no more time: see time_limit.py.
        """
        if not name.isascii():  # before lower(), which turns some other letters into ASCII ones
            return Answer(name, kind, Status.NO_NAME)
        name = name.lower().removesuffix(".")
        question = name, kind
        kept = self._kept.get(question)
        if kept is not None:
            if self._clock() < kept[1]:
                self._hits += 1
                self._kept.move_to_end(question)
                return kept[0]
            self._forget(question)
        waiter: Waiter = self._loop.create_future()
        waiters = self._asking.get(question)
        if waiters is None:
            self._misses += 1
            waiters = self._asking[question] = [waiter]
            self._inner.ask(name, kind, waiters, self._answered)
        else:
            self._shared += 1
            waiters.append(waiter)
        session = session_time.get()
        if session is not None:
            session.limit(waiter)
        return await waiter or Answer(name, kind, Status.FAILURE, detail=TIME_IS_OVER)

    def forget(self, domain: str) -> None:
        """Forget the answers about all names below a domain, lower case, without final dot."""
        for question in [question for question in self._kept if question[0].endswith("." + domain)]:
            self._forget(question)

    def facts(self) -> dict[str, Any]:
        """Numbers for `smtpgate status`: answers kept, and questions answered from memory, shared, and passed on."""
        return {"kept": len(self._kept), "from_memory": self._hits, "shared": self._shared, "asked": self._misses}

    def _answered(self, answer: Answer) -> None:
        question = answer.name, answer.kind
        was_wanted = False
        for waiter in self._asking.pop(question):
            if not waiter.done():
                waiter.set_result(answer)
                was_wanted = True
        failed = answer.failed
        age = _FAILURE_AGE if failed else answer.ttl
        # A failure that nobody waited for is no more than a question that was given up.
        if age > 0 and (was_wanted or not failed):
            self._kept[question] = answer, self._clock() + (age if age < _MAX_AGE else _MAX_AGE)
            self._room -= _weight(answer)
            while self._room < 0:
                self._forget(next(iter(self._kept)))

    def _forget(self, question: _Question) -> None:
        self._room += _weight(self._kept.pop(question)[0])


def _weight(answer: Answer) -> int:
    records = answer.records
    octets = 100 * len(records)
    if answer.kind == "MX":
        octets += sum([len(record.host) for record in records])
    elif answer.kind not in ("A", "AAAA"):
        octets += sum(map(len, records))
    return 1 + octets // _ORDINARY
