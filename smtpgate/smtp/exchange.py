"""What goes back and forth on a connection: replies out, lines and messages in, and every wait bounded in time."""

from collections.abc import Callable
from typing import Any, NoReturn

from smtpgate.phases.facts import Session
from smtpgate.phases.reply import Reply
from smtpgate.smtp.conduct import Conduct
from smtpgate.smtp.intake import Sink
from smtpgate.smtp.protocol import Connection
from smtpgate.smtp.reception import Reception

TOO_MANY_SESSIONS = Reply(421, "3.2", "Too many connections, please try again later")
SHUTTING_DOWN = Reply(421, "3.2", "Server is shutting down, please try again later")
TIMED_OUT = Reply(421, "4.2", "Timeout exceeded, closing connection")
TOO_SLOW = Reply(421, "4.2", "The message comes too slowly, closing connection")
NOTHING_DELIVERED = Reply(421, "4.2", "Session lasts too long without a message, closing connection")

# How long a client that is hung up on may take to read why, in seconds.
LAST_WORDS = 10.0


class Closed(Exception):
    """The session ends here: the client is gone or was sent away."""


class Exchange(Connection):
    """A connection, and the session on it: its facts, its way through the phases, its conduct.

    chunk_left: octets that BDAT announced and that were not read yet. goes: the session ends with the last reply.
    """

    __slots__ = ("_replies", "chunk_left", "conduct", "facts", "goes", "reception")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.chunk_left = 0
        self.facts: Session
        self.reception: Reception
        self.conduct: Conduct
        self._replies: list[bytes] = []
        self.goes = False

    # --- replies

    def answer(self, command: str, reply: Reply) -> None:
        """Queue a reply; a refusal gets the record's reference and is kept in the record."""
        if reply.is_positive:
            self._replies.append(reply.line().encode() + b"\r\n")
            return
        self.conduct.answered(reply)
        self.leave_after(reply)
        self.reception.note(command, reply)
        self._replies.append(reply.line(self.reception.ref).encode() + b"\r\n")

    def leave_after(self, reply: Reply) -> None:
        """421 and 521 are last words (RFC 5321 §3.8; Postfix: access(5))."""
        if reply.code in (421, 521):
            self.goes = True

    def answer_raw(self, lines: bytes) -> None:
        """Queue a reply that is written out already."""
        self._replies.append(lines)

    def refuse_share(self, command: str, refusal: Reply) -> None:
        """Answer a client whose network has had its share."""
        if self.reception.tx is None or not self.reception.tx.recipients:
            self.reception.gives_up(refusal)
        self.answer(command, refusal)

    async def flush(self) -> None:
        """Write the queued replies in one go, and wait for who does not read them."""
        self._write_replies()
        if self.is_slow_reader:
            await self.caught_up()

    def _write_replies(self) -> None:
        if self._replies and self.transport is not None:
            self.transport.write(b"".join(self._replies))
        self._replies.clear()

    async def close_with(self, command: str, reply: Reply) -> NoReturn:
        """Say why and end the session."""
        if not reply.is_positive:
            self.reception.gives_up(reply)
        self.answer(command, reply)
        await self.flush()
        raise Closed

    # --- waiting for the client, bounded in time

    async def wait_for_line(self) -> bytes:
        """The next line, after the client has heard all that it was answered. Raises EOFError, Closed."""
        self._write_replies()
        if self.is_slow_reader:
            await self.caught_up()
        now = self.services.monotonic()
        if now > self.conduct.hopeless_from:
            await self.close_with("time-out", NOTHING_DELIVERED)
        room = self.services.room
        if self.reception.tx is None and self.conduct.guest is not None:
            room.idle[self] = now
        self._waiting_since = self.loop.time()
        if room.stress:
            self.hurry()
        try:
            while (line := self.intake.next_line()) is None:
                await self.intake.more()
        finally:
            self._waiting_since = None
            room.idle.pop(self, None)
        return line

    async def receive(self, sink: Sink) -> None:
        """Give the sink the bytes of a message as they come, until it wants no more. Raises EOFError, Closed."""
        conduct, clock = self.conduct, self.services.monotonic
        since, in_time = clock(), True

        def timed(data: bytes) -> bytes | None:
            nonlocal since, in_time
            now = clock()
            in_time = conduct.keeps_up(len(data), now - since)
            since, self._waiting_since = now, self.loop.time()
            return sink(data) if in_time else b""

        self._waiting_since = self.loop.time()
        try:
            await self.intake.pour(timed)
        finally:
            self._waiting_since = None
        if not in_time:
            await self.close_with("slow message", TOO_SLOW)

    async def receive_chunk(self, take: Callable[[bytes], bool]) -> None:
        """The same for the octets that BDAT announced, and never for more. take: returns whether it can take more."""
        if not self.intake.unread:
            await self.flush()

        def counted(data: bytes) -> bytes | None:
            piece, rest = data[: self.chunk_left], data[self.chunk_left :]
            self.chunk_left -= len(piece)
            return None if take(piece) and self.chunk_left else rest

        await self.receive(counted)

    def _reset_timeout(self, duration: float | None = None) -> None:
        # One timer for the whole session, moved on only when it fires.
        self._timeout_handle = self.loop.call_later(duration or self.services.limits.command_timeout, self._timeout_cb)

    def _timeout_cb(self) -> None:
        if not self.is_open:  # it does not even read our last words
            self.abort()
            return
        waiting = 0.0 if self._waiting_since is None else self.loop.time() - self._waiting_since
        allowed = self.conduct.timeout
        if waiting < allowed:
            self._reset_timeout(allowed - waiting)
        else:
            self._hang_up("time-out", TIMED_OUT)

    def hurry(self) -> None:
        """Sessions are running out: the timer must not wait for its usual time."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
            self._timeout_cb()

    def make_room(self) -> None:
        """Another client needs the place of this one, which is idle."""
        self._hang_up("idle", TOO_MANY_SESSIONS)

    def shut_down(self) -> None:
        """The server stops: between transactions the client is told at once, otherwise after its transaction."""
        if self._shaking_hands:
            self.abort()
        elif self._waiting_since is not None and self.reception.tx is None:
            self._hang_up("shutdown", SHUTTING_DOWN)

    def _hang_up(self, command: str, reply: Reply) -> None:
        """End the session from outside its handler, which waits for the client and ends with the connection."""
        if not self.is_open:
            return
        self.reception.gives_up(reply)
        self.answer(command, reply)
        self.close_after(b"".join(self._replies))
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._reset_timeout(min(LAST_WORDS, self.services.limits.command_timeout))
