"""One question from its first packet to its answer: which server is asked when, how, and what its answers mean."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from smtpgate.dns.deadlines import Deadlines
from smtpgate.dns.entropy import Entropy
from smtpgate.dns.name_server import NameServer
from smtpgate.dns.outcome import Unanswered, read_answer
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.tcp import exchange
from smtpgate.dns.time_limit import Waiter
from smtpgate.dns.udp import UdpSocket
from smtpgate.dns.wire import FormatError, spell, write_query

log = logging.getLogger(__name__)

# RFC 6891 §7 knows the first for servers without EDNS; some say the second.
_NO_EDNS = (1, 4)  # FORMERR, NOTIMP


class Means(Protocol):
    """What the resolver lends to each of its questions.

    tries: the time limit of each try. tcp_turns: for as many connections as there may be. clock: monotonic, in seconds.
    """

    entropy: Entropy
    tries: Deadlines["Attempt"]
    tcp_turns: asyncio.Semaphore
    clock: Callable[[], float]

    def ended(self, question: "Question", answer: Answer) -> None:
        """The question has its answer."""
        ...


class Attempt:
    """A question as it was put to one server once.

    sent: when, by the clock. identifier, spelt: see wire.py. mixed, edns: whether its case is mixed, and it has EDNS.
    socket: where it waits, if over UDP; task: what asks, if over TCP.
    """

    __slots__ = ("edns", "identifier", "mixed", "question", "sent", "server", "socket", "spelt", "task")

    def __init__(
        self, question: "Question", server: NameServer, sent: float, identifier: bytes, spelt: bytes, mixed: bool,
        edns: bool, socket: UdpSocket | None,
    ) -> None:  # fmt: skip
        self.question = question
        self.server = server
        self.sent = sent
        self.identifier = identifier
        self.spelt = spelt
        self.mixed = mixed
        self.edns = edns
        self.socket = socket
        self.task: asyncio.Task[None] | None = None

    def received(self, packet: bytes) -> bool:
        """Called by the socket."""
        question = self.question
        try:
            response = read_answer(packet, self.spelt, question.name, question.kind)
            self.socket = None  # it waits no longer
            if isinstance(response, Answer):
                question.answered(self, response)
            else:
                question.unanswered(self, response)
        except FormatError:
            return False
        except Exception:
            question.broke()
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

    waiters: who waits; when all are done, nothing more is sent. then: called once with the answer, perhaps before
    begin() returns.
    """

    __slots__ = (
        "_attempts", "_edns", "_mixed", "_order", "_problems", "_waiters", "done", "kind", "means", "name", "then",
    )  # fmt: skip

    def __init__(
        self, means: Means, name: str, kind: RecordType, waiters: Sequence[Waiter], then: Callable[[Answer], None]
    ) -> None:
        self.means = means
        self.name = name
        self.kind = kind
        self.then = then
        self.done = False
        self._waiters = waiters
        self._order: tuple[NameServer, ...] = ()  # who may still answer, the next one first
        self._attempts: list[Attempt] = []
        self._problems: dict[NameServer, str] = {}  # of each server the last
        self._mixed = self._edns = True

    def is_wanted(self) -> bool:
        """Whether somebody waits. If not, it goes on, but no further, and its answer is kept."""
        return not all(waiter.done() for waiter in self._waiters)

    @property
    def problems(self) -> str:
        """What went wrong so far."""
        return "; ".join(self._problems.values())

    def begin(self, order: tuple[NameServer, ...], now: float) -> None:
        """Ask the last of the servers, and then, if need be, the others from the first on."""
        self._order = order
        try:
            self._ask(order[-1], now)
        except ValueError:  # RFC 1035 §2.3.4: such a name cannot exist
            self._end(Answer(self.name, self.kind, Status.NO_NAME))

    def answered(self, attempt: Attempt, answer: Answer) -> None:
        """The server of an attempt has answered over UDP."""
        attempt.server.heard(attempt.sent, self.means.clock(), attempt.mixed, attempt.edns)
        self._end(answer)

    def unanswered(self, attempt: Attempt, response: Unanswered) -> None:
        """The server of an attempt has said something else over UDP."""
        server, now = attempt.server, self.means.clock()
        self._drop(attempt)
        if response.other_case:
            # Forged, or the server does so with every question. Asked once more without, it must be guessed again.
            server.changed_case()
            self._mixed = False
            self._ask(server, now)
            return
        no_edns = attempt.edns and response.rcode in _NO_EDNS
        server.heard(attempt.sent, now, attempt.mixed, attempt.edns and not no_edns)
        if no_edns:
            server.refused_edns()
            self._edns = False
            self._ask(server, now)
        elif response.truncated:
            self._ask_over_tcp(server, now)
        else:
            self._give_up(server, f"{response.why} from {server.host}")

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
        if self._order and self.is_wanted():
            server, *others = self._order
            self._order = (*others, server)
            self._ask(server, now)
        else:
            self.fail(self.problems)

    def _ask(self, server: NameServer, now: float) -> None:
        means = self.means
        chance = means.entropy.take(len(self.name) + 4)  # for the socket, the identifier, and the case of each letter
        try:
            socket = server.pool.socket(chance[0], now)
            identifier = chance[1:3]
            while identifier in socket.waiting:  # RFC 5452 §4.3: a random one that no other question has
                identifier = means.entropy.take(2)
            mixed, edns = self._mixed and server.mixes_case, self._edns and server.edns
            spelt = spell(self.name, self.kind, chance[3:] if mixed else b"")
            server.asked += 1
            if self._problems:
                server.repeated += 1
            attempt = Attempt(self, server, now, identifier, spelt, mixed, edns, socket)
            socket.send(identifier, write_query(identifier, spelt, edns), attempt)
        except OSError as error:
            self._unreachable(server, error)
            return
        self._attempts.append(attempt)
        means.tries.start(attempt, now)

    def _ask_over_tcp(self, server: NameServer, now: float) -> None:
        server.over_tcp += 1
        edns = self._edns and server.edns
        identifier, spelt = self.means.entropy.take(2), spell(self.name, self.kind, b"")
        attempt = Attempt(self, server, now, identifier, spelt, False, edns, None)
        attempt.task = asyncio.create_task(self._over_tcp(attempt))
        self._attempts.append(attempt)
        self.means.tries.start(attempt, now)

    async def _over_tcp(self, attempt: Attempt) -> None:
        server, answer = attempt.server, None
        try:
            async with self.means.tcp_turns:
                packet = await exchange(server.endpoint, write_query(attempt.identifier, attempt.spelt, attempt.edns))
            response = read_answer(packet, attempt.spelt, self.name, self.kind)
            if isinstance(response, Unanswered):
                raise FormatError("truncated over TCP" if response.truncated else response.why)
            answer = response
        except OSError as error:
            problem = f"{server.host}: {error.strerror or type(error).__name__}"
        except FormatError as error:
            problem = f"{error} from {server.host}"
        try:
            attempt.task = None  # it ends by itself
            if answer is None:
                self._drop(attempt)
                self._give_up(server, problem)
            else:
                self._end(answer)
        except Exception:
            self.broke()

    def _unreachable(self, server: NameServer, error: OSError) -> None:
        server.put_aside(self.means.clock())
        self._give_up(server, f"{server.host}: {error.strerror or type(error).__name__}")

    def _give_up(self, server: NameServer, problem: str) -> None:
        """This server will not answer this question."""
        server.errors += 1
        self._problems[server] = problem
        self._order = tuple(other for other in self._order if other is not server)
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
