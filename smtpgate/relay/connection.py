"""One connection to a downstream that speaks SMTP or LMTP. It knows commands and replies, but no transactions.

A connection that anything went wrong with is closed for good: a time-out, nonsense, an unasked reply, a cancelled
caller. So one that is still open is never out of step with the other side.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.relay.replies import Nonsense, ReplyParser, WireReply
from smtpgate.relay.wire import ChunkEncoder, Encoder
from smtpgate.system_error import in_words

# RFC 5321 §4.5.3.2: the server may take ten minutes after the final dot where other commands have one to five.
FINAL_REPLY_FACTOR = 10


class ConnectionGone(DownstreamUnavailable):
    """The downstream closed the connection, or said 421."""


class Connection(asyncio.Protocol):
    """A connection, used by one caller at a time.

    timeout: seconds for each reply, and for each time that the downstream must take data.
    on_closed: called once, when it is open no longer. extensions: what EHLO offered, keywords in upper case with their
    parameters. speaks_for: what was said to make it another client's (XCLIENT), None if nothing was.
    """

    def __init__(self, timeout: float, on_closed: "Callable[[Connection], None]") -> None:
        self.extensions: Mapping[str, str] = {}
        self.speaks_for: object = None
        self._timeout = timeout
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._parser = ReplyParser()
        self._replies: deque[WireReply] = deque()
        self._owed = 1  # replies that must still come in; the greeting is the first
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: DownstreamUnavailable | None = None
        self._transport: asyncio.Transport

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._failure is None

    @property
    def is_idle(self) -> bool:
        """Whether it is open and nothing is under way."""
        return self._failure is None and not self._owed and not self._replies and self._parser.is_between_replies

    def send(self, commands: bytes, replies: int = 1) -> None:
        """Write commands that will be answered by so many replies."""
        if self._failure is None:
            self._owed += replies
            self._transport.write(commands)

    async def reply(self, timeout: float | None = None) -> RelayReply:
        """The next reply. Raises DownstreamUnavailable; 421 is one of its reasons."""
        while not self._replies:
            await self._something(timeout or self._timeout)
        reply = self._replies.popleft().joined
        if reply.code == 421:  # RFC 5321 §3.8: it closes the connection, whatever was asked
            self.fail(ConnectionGone(f"downstream said {reply}"))
            raise ConnectionGone(f"downstream said {reply}")
        return reply

    async def wire_reply(self) -> WireReply:
        """The next reply, line by line."""
        while not self._replies:
            await self._something(self._timeout)
        return self._replies.popleft()

    async def command(self, command: bytes) -> RelayReply:
        """Send one command and wait for its reply."""
        self.send(command)
        return await self.reply()

    async def send_content(self, content: Content, replies: int) -> None:
        """Send what follows 354, final dot included, no faster than the downstream takes it."""
        await self._send_all(content, Encoder(strict=content.strict))
        self.send(b"", replies)

    async def send_chunk(self, content: Content) -> None:
        """Send the content as the one and last chunk (RFC 3030 §2), no faster than the downstream takes it.

        An answer before the end of it can only be a refusal: it is kept for reply(), and the connection is closed,
        because nobody knows whether the other side wants to read the rest.
        """
        self._owed += 1
        if not await self._send_all(content, ChunkEncoder(strict=content.strict), b"BDAT %d LAST\r\n" % content.size):
            self.fail(DownstreamUnavailable("the content was not sent to its end"))
            if self._replies[0].code < 400:
                raise DownstreamUnavailable("downstream took a message before its end")

    async def _send_all(self, content: Content, encoder: Encoder, command: bytes = b"") -> bool:
        """Send content, a command in one write with its first chunk. False if an answer came before its end."""
        try:
            async for piece in content:
                for chunk in encoder.encode(piece):
                    if not await self._write(command + chunk):
                        return False
                    command = b""
                    await asyncio.sleep(0)  # others have their turn
            return await self._write(command + encoder.end())
        except BaseException:
            # Half a message was sent: it must never be completed.
            self.fail(DownstreamUnavailable("the content was not sent to its end"))
            raise

    async def _write(self, chunk: bytes) -> bool:
        """Write as soon as the downstream takes it. False, and nothing written, if it has answered already."""
        while (self._paused or self._failure is not None) and not self._replies:
            await self._something(self._timeout)
        if self._replies:
            return False
        self._transport.write(chunk)
        return True

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Go on in TLS. name: whose certificate it must be. Raises OSError, and DownstreamUnavailable."""
        if not self.is_idle:
            # Somebody in between hopes that we take it for an answer that came in TLS.
            raise DownstreamUnavailable("downstream said something between STARTTLS and TLS")
        transport = await self._loop.start_tls(self._transport, self, context, server_hostname=name)
        if transport is None:
            raise ConnectionGone("downstream closed the connection")
        self._transport = transport

    def quit(self) -> None:
        """Say goodbye and close, without waiting for an answer."""
        if self._failure is None:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            self._ended(ConnectionGone("closed by us"))

    def fail(self, reason: DownstreamUnavailable) -> None:
        """Close at once; whoever waits gets the reason."""
        if self._failure is None:
            self._transport.abort()
            self._ended(reason)
            self._wake()

    async def _something(self, timeout: float) -> None:
        """Wait until a reply came in, writing may go on, or the connection failed, which is raised."""
        if self._failure is None:
            self._waiter = self._loop.create_future()
            self._watch(timeout)
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.fail(DownstreamUnavailable("given up"))
                raise
            finally:
                self._waiter = None
        if self._failure is not None and not self._replies:
            raise self._failure

    def _watch(self, timeout: float) -> None:
        """Set the deadline. One timer is kept running over many replies: to start one for each costs more than all
        else that is done here.
        """
        self._deadline = self._loop.time() + timeout
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() >= self._deadline:
            self.fail(DownstreamUnavailable("downstream did not answer in time"))
        else:
            self._timer = self._loop.call_at(self._deadline, self._look_at_clock)

    def _ended(self, reason: DownstreamUnavailable) -> None:
        self._failure = reason
        if self._timer is not None:
            self._timer.cancel()
        self._on_closed(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Collect replies."""
        try:
            for reply in self._parser.feed(data):
                if not self._owed:
                    # Most often 421 on an idle connection.
                    self.fail(ConnectionGone(f"downstream said {reply.joined} unasked"))
                    return
                self._owed -= 1
                self._replies.append(reply)
        except Nonsense as nonsense:
            # What was answered before it counts: a message that was taken must not be sent again.
            self.fail(DownstreamUnavailable(f"downstream does not speak SMTP: {nonsense}"))
            return
        if self._replies:
            self._wake()

    def eof_received(self) -> None:
        """The downstream will say no more."""
        self.fail(ConnectionGone("downstream closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.fail(ConnectionGone(f"connection lost: {in_words(error) if error else 'closed'}"))

    def pause_writing(self) -> None:
        """The downstream is slower than we are."""
        self._paused = True

    def resume_writing(self) -> None:
        """The downstream has caught up."""
        self._paused = False
        self._wake()
