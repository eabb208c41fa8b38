"""A resolver in front of another one: it remembers answers and asks one question only once at a time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from smtpgate.dns.resolver import Answer, Mx, RecordType, Resolver, Status

_MAX_AGE = 86_400  # seconds; RFC 8767 §4 calls for a cap, and nobody waits longer than a day for a corrected record
_FAILURE_AGE = 5  # seconds; RFC 2308 §7.1 allows 300, but a retry a minute later should see the repaired server
_ORDINARY = 1024  # octets of records in an answer that counts as one

_Question = tuple[str, RecordType]


@dataclass(slots=True)
class _Flight:
    """A question that is being asked, and how many callers wait for it."""

    task: asyncio.Task[Answer]
    waiting: int = 0


class CachingResolver:
    """Answers from memory while the TTL lasts, and else asks inner.

    clock: monotonic, in seconds. size: how many answers of ordinary size are kept, the least recently used going
    first; an outsized one counts for several, because whoever sends us mail chooses which answers we get to see.
    The ttl of an answer from memory is the one that it came with.
    """

    def __init__(self, inner: Resolver, clock: Callable[[], float] = time.monotonic, size: int = 50_000) -> None:
        self._inner = inner
        self._clock = clock
        self._room = size
        self._kept: OrderedDict[_Question, tuple[Answer, float]] = OrderedDict()
        self._asking: dict[_Question, _Flight] = {}

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        if not name.isascii():  # before lower(), which turns some other letters into ASCII ones
            return Answer(name, kind, Status.NO_NAME)
        name = name.lower().removesuffix(".")
        question = name, kind
        kept = self._kept.get(question)
        if kept is not None and self._clock() < kept[1]:
            self._kept.move_to_end(question)
            return kept[0]
        if not _is_possible(name):
            return Answer(name, kind, Status.NO_NAME)
        return await self._share(question)

    async def _share(self, question: _Question) -> Answer:
        flight = self._asking.get(question)
        if flight is None:
            flight = self._asking[question] = _Flight(asyncio.create_task(self._ask(question)))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:  # nobody wants it any more, or everybody has it
                flight.task.cancel()
                if self._asking.get(question) is flight:
                    del self._asking[question]

    async def _ask(self, question: _Question) -> Answer:
        answer = await self._inner.query(*question)
        age = _FAILURE_AGE if answer.failed else min(answer.ttl, _MAX_AGE)
        if age > 0:
            self._keep(question, answer, self._clock() + age)
        return answer

    def _keep(self, question: _Question, answer: Answer, until: float) -> None:
        if question in self._kept:
            self._room += _weight(self._kept.pop(question)[0])
        self._kept[question] = answer, until
        self._room -= _weight(answer)
        while self._room < 0:
            self._room += _weight(self._kept.popitem(last=False)[1][0])


def _is_possible(name: str) -> bool:
    # RFC 1035 §2.3.4: labels of 1 to 63 octets, 255 in all on the wire, which is 253 in text.
    return len(name) <= 253 and all(0 < len(label) <= 63 for label in name.split("."))


def _weight(answer: Answer) -> int:
    return 1 + sum(map(_octets, answer.records)) // _ORDINARY


def _octets(record: object) -> int:
    if isinstance(record, Mx):
        return 100 + len(record.host)
    return 100 + (len(record) if isinstance(record, bytes | str) else 0)
