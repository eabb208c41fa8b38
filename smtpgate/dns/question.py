"""One question from its first packet to its answer: which server is asked when, how, and what its answers mean."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from smtpgate.dns.deadlines import Deadlines
from smtpgate.dns.entropy import Entropy
from smtpgate.dns.name_server import NameServer
from smtpgate.dns.outcome import outcome
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.tcp import exchange
from smtpgate.dns.udp import UdpSocket
from smtpgate.dns.wire import FormatError, OtherCase, Response, is_plain, read_answer, write_question

log = logging.getLogger(__name__)

# RFC 6891 §7 knows the first for servers without EDNS; some say the second.
_NO_EDNS = (1, 4)  # FORMERR, NOTIMP


class Means(Protocol):
    """What the resolver lends to each of its questions.

    order: the servers, the best first. tries: the time limit of each try. tcp_turns: for as many connections as there
    may be. clock: monotonic, in seconds.
    """

    order: Sequence[NameServer]
    entropy: Entropy
    tries: Deadlines["Attempt"]
    tcp_turns: asyncio.Semaphore
    clock: Callable[[], float]

    def ended(self, question: "Question", answer: Answer) -> None:
        """The question has its answer."""
        ...


class Attempt:
    """A question as it was put to one server once.

    wire: its octets. sent: when, by the clock. mixed, edns: whether its case is mixed, and it has EDNS. socket,
    identifier: where it waits, if over UDP; task: what asks, if over TCP.
    """

    __slots__ = ("edns", "identifier", "mixed", "question", "sent", "server", "socket", "task", "wire")

    def __init__(
        self, question: "Question", server: NameServer, sent: float, identifier: int, *, mixed: bool, edns: bool
    ) -> None:
        self.question = question
        self.server = server
        self.sent = sent
        self.identifier = identifier
        self.mixed = mixed
        self.edns = edns
        means = question.means
        mix = means.entropy.take(len(question.name) + 1) if mixed else b""
        self.wire = write_question(identifier, question.name, question.kind, mix=mix, edns=edns)
        self.socket: UdpSocket | None = None
        self.task: asyncio.Task[None] | None = None

    def received(self, packet: bytes) -> bool:
        """Called by the socket."""
        try:
            return self.question.received(self, packet)
        except Exception:
            self.question.broke()
            return True

    def refused(self, error: OSError) -> None:
        """Called by the socket."""
        self.question.refused(self, error)

    def flooded(self) -> None:
        """Called by the socket."""
        self.question.flooded(self)

    def end(self) -> None:
        """Wait no longer."""
        if self.socket is not None:
            self.socket.forget(self.identifier)
        if self.task is not None:
            self.task.cancel()


class Question:
    """A question, and all attempts to get an answer: one that comes late is as good as one to the last attempt.

    then: called once with the answer, perhaps before begin() returns. is_wanted: whether somebody waits; if not,
    nothing more is sent.
    """

    __slots__ = (
        "_attempts", "_edns", "_given_up", "_mixed", "_next", "_order", "_problems", "done", "is_wanted", "kind",
        "means", "name", "then",
    )  # fmt: skip

    def __init__(
        self, means: Means, name: str, kind: RecordType, then: Callable[[Answer], None], is_wanted: Callable[[], bool]
    ) -> None:
        self.means = means
        self.name = name
        self.kind = kind
        self.then = then
        self.is_wanted = is_wanted
        self.done = False
        self._order: Sequence[NameServer] = ()
        self._next = 0
        self._attempts: list[Attempt] = []
        self._given_up: tuple[NameServer, ...] = ()
        self._problems: dict[NameServer, str] = {}  # of each server the last
        self._mixed = self._edns = True

    @property
    def problems(self) -> str:
        """What went wrong so far."""
        return "; ".join(self._problems.values())

    def begin(self, servers: Sequence[NameServer], now: float) -> None:
        """Ask the first server."""
        self._order = servers
        try:
            self._ask_next(now)
        except ValueError:  # RFC 1035 §2.3.4: such a name cannot exist
            self._end(Answer(self.name, self.kind, Status.NO_NAME))

    def received(self, attempt: Attempt, packet: bytes) -> bool:
        """A packet for an attempt; False if it is none that could be its answer."""
        server = attempt.server
        name = self.name if is_plain(self.name) else None
        try:
            response = read_answer(packet, attempt.wire, name, exact=attempt.mixed)
        except OtherCase:
            # Forged, or the server does so with every question. Asked once more without, it must be guessed again.
            server.changed_case()
            self._mixed = False
            self._drop(attempt)
            self._ask(server, self.means.clock())
            return True
        except FormatError:
            return False
        now = self.means.clock()
        no_edns = attempt.edns and response.rcode in _NO_EDNS
        server.heard(now, now - attempt.sent, mixed=attempt.mixed, edns=attempt.edns and not no_edns)
        self._drop(attempt)
        if no_edns:
            server.refused_edns()
            self._edns = False
            self._ask(server, now)
        elif response.truncated:
            self._ask_over_tcp(server, now)
        else:
            self._take(server, response)
        return True

    def refused(self, attempt: Attempt, error: OSError) -> None:
        """The server of an attempt cannot be reached."""
        if not self.done:
            self._drop(attempt)
            self._unreachable(attempt.server, error)

    def flooded(self, attempt: Attempt) -> None:
        """Somebody sends forged packets to where an attempt waits: over TCP nobody can (RFC 5452 §9.3)."""
        if not self.done:
            self._drop(attempt)
            self._ask_over_tcp(attempt.server, self.means.clock())

    def late(self, attempt: Attempt) -> None:
        """An attempt has had its time; it may still be answered, but the next server gets a chance."""
        server, now = attempt.server, self.means.clock()
        self._problems[server] = f"no answer from {server.host}"
        server.was_late(attempt.sent, now)
        self._ask_next(now)

    def fail(self, detail: str) -> None:
        """End it without an answer."""
        self._end(Answer(self.name, self.kind, Status.FAILURE, detail=detail))

    def broke(self) -> None:
        """End it in an exception handler: a mistake in the program."""
        log.exception("DNS question %r %s", self.name, self.kind)
        self.fail("internal error")

    def _ask_next(self, now: float) -> None:
        """Ask the next server that may answer; after the last one the first again."""
        order = self._order
        for _ in order if self.is_wanted() else ():
            server = order[self._next % len(order)]
            self._next += 1
            if server not in self._given_up:
                self._ask(server, now)
                return
        self.fail(self.problems)

    def _ask(self, server: NameServer, now: float) -> None:
        means = self.means
        server.asked += 1
        server.repeated += bool(self._problems)
        try:
            socket = server.pool.socket(now)
            attempt = self._attempt(server, now, socket.identifier(means.entropy))
            socket.send(attempt.identifier, attempt.wire, attempt)
        except OSError as error:
            self._unreachable(server, error)
            return
        attempt.socket = socket
        self._attempts.append(attempt)
        means.tries.start(attempt, now)

    def _ask_over_tcp(self, server: NameServer, now: float) -> None:
        server.over_tcp += 1
        attempt = self._attempt(server, now, int.from_bytes(self.means.entropy.take(2)))
        attempt.task = asyncio.create_task(self._over_tcp(attempt))
        self._attempts.append(attempt)
        self.means.tries.start(attempt, now)

    def _attempt(self, server: NameServer, now: float, identifier: int) -> Attempt:
        mixed, edns = self._mixed and server.mixes_case, self._edns and server.edns
        return Attempt(self, server, now, identifier, mixed=mixed, edns=edns)

    async def _over_tcp(self, attempt: Attempt) -> None:
        server = attempt.server
        try:
            async with self.means.tcp_turns:
                packet = await exchange(server.endpoint, attempt.wire)
            response = read_answer(packet, attempt.wire, exact=False)
            if response.truncated:
                raise FormatError("truncated over TCP")
        except OSError as error:
            response, problem = None, error.strerror or type(error).__name__
            problem = f"{server.host}: {problem}"
        except FormatError as error:
            response, problem = None, f"{error} from {server.host}"
        try:
            attempt.task = None  # it ends by itself
            self._drop(attempt)
            if response is None:
                self._give_up(server, problem)
            else:
                self._take(server, response)
        except Exception:
            self.broke()

    def _take(self, server: NameServer, response: Response) -> None:
        try:
            answer = outcome(self.name, self.kind, response)
        except FormatError as error:
            self._give_up(server, f"{error} from {server.host}")
        else:
            self._end(answer)

    def _unreachable(self, server: NameServer, error: OSError) -> None:
        server.put_aside(self.means.clock())
        self._give_up(server, f"{server.host}: {error.strerror or type(error).__name__}")

    def _give_up(self, server: NameServer, problem: str) -> None:
        """This server will not answer this question."""
        server.errors += 1
        self._problems[server] = problem
        self._given_up += (server,)
        self._ask_next(self.means.clock())

    def _drop(self, attempt: Attempt) -> None:
        attempt.end()
        self.means.tries.stop(attempt)
        self._attempts.remove(attempt)

    def _end(self, answer: Answer) -> None:
        if self.done:
            return
        self.done = True
        for attempt in self._attempts:
            attempt.end()
            self.means.tries.stop(attempt)
        self._attempts.clear()
        self.means.ended(self, answer)
