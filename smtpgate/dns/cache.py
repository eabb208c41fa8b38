"""A resolver in front of another one: it remembers answers and asks one question only once at a time."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from smtpgate.dns.resolver import Answer, Mx, RecordType, Status

_MAX_AGE = 86_400  # seconds; RFC 8767 §4 calls for a cap, and nobody waits longer than a day for a corrected record
_FAILURE_AGE = 5  # seconds; RFC 2308 §7.1 allows 300, but a retry a minute later should see the repaired server
_ORDINARY = 1024  # octets of records in an answer that counts as one

_Question = tuple[str, RecordType]


class Asker(Protocol):
    """What asks on behalf of the cache: StubResolver."""

    def ask(self, name: str, kind: RecordType, then: Callable[[Answer], None], is_wanted: Callable[[], bool]) -> object:
        """Ask one question. Never raises.

        then: called once with the answer, perhaps before this returns. is_wanted: whether anybody waits for it still.
        """
        ...


class _Waiters(list[asyncio.Future[Answer]]):
    """Who waits for a question that is being asked, or did."""

    __slots__ = ()

    def are_there(self) -> bool:
        """If not, the question goes on, but no further, and its answer is kept."""
        return not all(waiter.done() for waiter in self)


class CachingResolver:
    """Answers from memory while the TTL lasts, and else asks inner.

    clock: monotonic, in seconds. size: how many answers of ordinary size are kept, the least recently used going
    first; an outsized one counts for several, because whoever sends us mail chooses which answers we get to see.
    The ttl of an answer from memory is the one that it came with.
    """

    def __init__(self, inner: Asker, clock: Callable[[], float] = time.monotonic, size: int = 50_000) -> None:
        self._inner = inner
        self._clock = clock
        self._room = size
        self._kept: OrderedDict[_Question, tuple[Answer, float]] = OrderedDict()
        self._asking: dict[_Question, _Waiters] = {}
        self._hits = self._misses = self._shared = 0

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        answer = self.ask(name, kind)
        return answer if isinstance(answer, Answer) else await answer

    def ask(self, name: str, kind: RecordType) -> Answer | asyncio.Future[Answer]:
        """The answer, if it needs no asking, or what will have it; who needs it no more cancels that, or sets it."""
        if not name.isascii():  # before lower(), which turns some other letters into ASCII ones
            return Answer(name, kind, Status.NO_NAME)
        name = name.lower().removesuffix(".")
        question = name, kind
        kept = self._kept.get(question)
        if kept is not None and self._clock() < kept[1]:
            self._hits += 1
            self._kept.move_to_end(question)
            return kept[0]
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiters = self._asking.get(question)
        if waiters is None:
            self._misses += 1
            waiters = self._asking[question] = _Waiters((waiter,))
            self._inner.ask(name, kind, self._answered, waiters.are_there)
        else:
            self._shared += 1
            waiters.append(waiter)
        return waiter

    def forget(self, domain: str) -> None:
        """Forget the answers about all names below a domain, lower case, without final dot."""
        for question in [question for question in self._kept if question[0].endswith("." + domain)]:
            self._room += _weight(self._kept.pop(question)[0])

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
        age = _FAILURE_AGE if failed else min(answer.ttl, _MAX_AGE)
        # A failure that nobody waited for is no more than a question that was given up.
        if age > 0 and (was_wanted or not failed):
            self._keep(question, answer, self._clock() + age)

    def _keep(self, question: _Question, answer: Answer, until: float) -> None:
        former = self._kept.pop(question, None)
        if former is not None:
            self._room += _weight(former[0])
        self._kept[question] = answer, until
        self._room -= _weight(answer)
        while self._room < 0:
            self._room += _weight(self._kept.popitem(last=False)[1][0])


def _weight(answer: Answer) -> int:
    records = answer.records
    return 1 + sum([_octets(record) for record in records]) // _ORDINARY if records else 1


def _octets(record: object) -> int:
    if isinstance(record, Mx):
        return 100 + len(record.host)
    return 100 + (len(record) if isinstance(record, bytes | str) else 0)
