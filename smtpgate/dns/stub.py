"""The stub resolver: it asks the configured name servers, which do the resolving."""

import asyncio
import contextlib
import ipaddress
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smtpgate.dns.deadlines import Deadlines
from smtpgate.dns.entropy import Entropy
from smtpgate.dns.name_server import NameServer
from smtpgate.dns.question import Attempt, Question
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.time_limit import Waiter
from smtpgate.dns.udp import MOST_SOCKETS
from smtpgate.values import Endpoint

_MAX_TRY = 2.0  # seconds until the next server is asked, or the only one again
# Answers to more would not fit what the kernel keeps for our sockets; the others wait for their turn.
MAX_IN_FLIGHT = 4096
_MAX_CONNECTIONS = 32  # over TCP, at one time


class StubResolver:
    """Asks name servers over UDP and TCP. Use it through CachingResolver.

    nameservers: none for the system's. timeout: seconds for one question, whatever happens. clock: monotonic, in
    seconds. A server that does not answer is asked last until it answers again.
    """

    def __init__(
        self, nameservers: Sequence[Endpoint], timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.entropy = Entropy()
        self.clock = clock
        self.tcp_turns = asyncio.Semaphore(_MAX_CONNECTIONS)
        self.tries: Deadlines[Attempt] = Deadlines(min(_MAX_TRY, timeout / 2), _late, clock)
        found = dict.fromkeys(nameservers or system_nameservers())
        self._servers = [NameServer(server, self._sort) for server in found]
        self._timeout = timeout
        self._timeouts: Deadlines[Question] = Deadlines(timeout, self._timed_out, clock)
        self._queue: deque[Question] = deque()  # whose time is running, too
        self._outcomes: Counter[Status] = Counter()
        self._sort()

    def _sort(self) -> None:
        """Put the servers into order: as configured, but those that do not answer last; and the first behind them."""
        first, *others = sorted(self._servers, key=lambda server: server.aside)
        self._order = (*others, first)
        self._aside = tuple(server for server in self._servers if server.aside)

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self.ask(
            name.lower().removesuffix(".") if name.isascii() else name,
            kind,
            (waiter,),
            lambda answer: None if waiter.done() else waiter.set_result(answer),
        )
        answer = await waiter
        assert answer is not None
        return answer

    def ask(self, name: str, kind: RecordType, waiters: Sequence[Waiter], then: Callable[[Answer], None]) -> None:
        """Ask one question. Never raises.

        name: lower case, without a final dot. waiters: who waits for the answer; when all of them are done, nothing
        more is sent. then: called once with the answer, perhaps before this returns.
        """
        question = Question(self, name, kind, waiters, then)
        now = self.clock()
        self._timeouts.start(question, now)
        if len(self._timeouts.running) <= MAX_IN_FLIGHT:
            self._begin(question, now)
        else:
            self._queue.append(question)

    def close(self) -> None:
        """Close all sockets. Who still waits for an answer hears that there is none."""
        self._queue.clear()
        for question in tuple(self._timeouts.running):
            question.fail("the resolver was closed")
        for deadlines in (self.tries, self._timeouts):
            deadlines.close()
        for server in self._servers:
            server.pool.close()

    def facts(self) -> dict[str, Any]:
        """Numbers for `smtpgate status`: how questions ended, and how each server does (NameServer.facts)."""
        return {
            "outcomes": {status.value: count for status, count in self._outcomes.items()},
            "in_flight": len(self._timeouts.running),
            "servers": [server.facts() for server in self._servers],
        }

    @property
    def most_sockets(self) -> int:
        """How many it may have open."""
        return len(self._servers) * MOST_SOCKETS + _MAX_CONNECTIONS

    def ended(self, question: Question, answer: Answer) -> None:
        """Called by a question that has its answer."""
        self._timeouts.stop(question)
        if question.then is not _nobody:
            self._outcomes[answer.status] += 1
        question.then(answer)
        if self._queue:  # not from here: the next one may end at once, too
            asyncio.get_running_loop().call_soon(self._begin_next)

    def _begin(self, question: Question, now: float) -> None:
        if self._aside:
            self._probe(question, now)
        question.begin(self._order, now)

    def _begin_next(self) -> None:
        while self._queue and len(self._timeouts.running) - len(self._queue) < MAX_IN_FLIGHT:
            question = self._queue.popleft()
            if question.is_wanted():
                self._begin(question, self.clock())
            else:  # given up, or out of time, in which case it has ended
                question.fail("")

    def _probe(self, question: Question, now: float) -> None:
        """Put a question also to the servers that did not answer lately, without anybody waiting for them."""
        for server in self._aside:
            if server.is_due(now):
                probe = Question(self, question.name, question.kind, (), _nobody)
                self._timeouts.start(probe, now)
                probe.begin((server,), now)

    def _timed_out(self, question: Question) -> None:
        seen = f" ({question.problems})" if question.problems else ""
        question.fail(f"timed out after {self._timeout:g} s{seen}")


def _late(attempt: Attempt) -> None:
    try:
        attempt.question.late(attempt)
    except Exception:
        attempt.question.broke()


def _nobody(_: Answer) -> None:
    """Who waits for the answer to a probe."""


def system_nameservers(path: Path = Path("/etc/resolv.conf")) -> list[Endpoint]:
    """The name servers of resolv.conf(5); the one on this machine if it is missing or names none, as that page has it.

    Reads a file: not on the event loop.
    """
    lines = []
    with contextlib.suppress(OSError):
        lines = path.read_text("utf-8", "replace").splitlines()
    found = []
    for line in lines:
        if (words := line.split())[:1] == ["nameserver"]:
            with contextlib.suppress(IndexError, ValueError):
                found.append(Endpoint(str(ipaddress.ip_address(words[1])), 53))
    return found or [Endpoint("127.0.0.1", 53)]
