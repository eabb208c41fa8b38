"""One connection to a downstream that speaks SMTP or LMTP. It knows commands and replies, but no transactions.

A connection that anything went wrong with is closed for good: a time-out, nonsense, an unasked reply, a cancelled
caller. So one that is still open is never out of step with the other side.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.relay.replies import Nonsense, ReplyParser, WireReply
from smtpgate.relay.url import DownstreamUrl
from smtpgate.relay.wire import Encoder

# RFC 5321 §4.5.3.2: the server may take ten minutes after the final dot where other commands have one to five.
FINAL_REPLY_FACTOR = 10


class ConnectionGone(DownstreamUnavailable):
    """The downstream closed the connection, or said 421."""


class Connection(asyncio.Protocol):
    """A connection, used by one caller at a time.

    timeout: seconds for each reply, and for each time that the downstream must take data.
    on_closed: called once, when it is open no longer. extensions: what EHLO offered, upper case.
    """

    def __init__(self, timeout: float, on_closed: "Callable[[Connection], None]") -> None:
        self.extensions: frozenset[str] = frozenset()
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
        reply = (await self.wire_reply(timeout)).joined()
        if reply.code == 421:  # RFC 5321 §3.8: it closes the connection, whatever was asked
            self.fail(ConnectionGone(f"downstream said {reply}"))
            raise ConnectionGone(f"downstream said {reply}")
        return reply

    async def wire_reply(self, timeout: float | None = None) -> WireReply:
        """The next reply, line by line."""
        while not self._replies:
            await self._something(self._timeout if timeout is None else timeout)
        return self._replies.popleft()

    async def command(self, command: bytes) -> RelayReply:
        """Send one command and wait for its reply."""
        self.send(command)
        return await self.reply()

    async def send_content(self, content: Content, replies: int) -> None:
        """Send what follows 354, final dot included, no faster than the downstream takes it."""
        encoder = Encoder()
        try:
            async for piece in content:
                for chunk in encoder.encode(piece):
                    await self._write(chunk)
                    await asyncio.sleep(0)  # others have their turn
            await self._write(encoder.end())
            self.send(b"", replies)
        except BaseException:
            # Half a message was sent: it must never be completed.
            self.fail(DownstreamUnavailable("the content was not sent to its end"))
            raise

    async def _write(self, chunk: bytes) -> None:
        while self._paused:
            await self._something(self._timeout)
        self._transport.write(chunk)

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
            replies = self._parser.feed(data)
        except Nonsense as nonsense:
            self.fail(DownstreamUnavailable(f"downstream does not speak SMTP: {nonsense}"))
            return
        for reply in replies:
            if not self._owed:
                # Most often 421 on an idle connection.
                self.fail(ConnectionGone(f"downstream said {reply.joined()} unasked"))
                return
            self._owed -= 1
            self._replies.append(reply)
        if replies:
            self._wake()

    def eof_received(self) -> None:
        """The downstream will say no more."""
        self.fail(ConnectionGone("downstream closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.fail(ConnectionGone(f"connection lost: {error or 'closed'}"))

    def pause_writing(self) -> None:
        """The downstream is slower than we are."""
        self._paused = True

    def resume_writing(self) -> None:
        """The downstream has caught up."""
        self._paused = False
        self._wake()


async def connect(
    url: DownstreamUrl,
    *,
    hostname: str,
    connect_timeout: float,
    timeout: float,
    on_closed: Callable[[Connection], None],
) -> Connection:
    """Open a connection and greet. Raises DownstreamUnavailable.

    hostname: what we say in EHLO. connect_timeout: seconds for everything up to its answer.
    """
    connection: Connection | None = None

    def opened() -> Connection:
        nonlocal connection
        connection = Connection(timeout, on_closed)
        return connection

    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_timeout):
            if url.scheme == "lmtp+unix":
                await loop.create_unix_connection(opened, url.path)
            else:
                await loop.create_connection(opened, url.host, url.port)
            assert connection is not None
            await _greet(connection, hostname, lmtp=url.scheme != "smtp")
            return connection
    except TimeoutError:
        raise DownstreamUnavailable(f"no greeting from {url} within {connect_timeout:g} s") from None
    except OSError as error:
        raise DownstreamUnavailable(f"cannot connect to {url}: {error}") from None
    except DownstreamUnavailable as error:
        if connection is not None:
            connection.fail(error)
        raise


async def _greet(connection: Connection, hostname: str, *, lmtp: bool) -> None:
    greeting = await connection.reply()
    if greeting.code != 220:
        raise DownstreamUnavailable(f"downstream greets with {greeting}")
    name = hostname.encode("ascii")
    connection.send((b"LHLO " if lmtp else b"EHLO ") + name + b"\r\n")
    offer = await connection.wire_reply()
    if offer.code == 250:
        connection.extensions = frozenset(line.partition(" ")[0].upper() for line in offer.lines[1:])
    elif lmtp or offer.code < 500:
        raise DownstreamUnavailable(f"downstream answers {'LHLO' if lmtp else 'EHLO'} with {offer.joined()}")
    else:
        # RFC 5321 §3.2: an old server knows only HELO.
        answer = await connection.command(b"HELO " + name + b"\r\n")
        if answer.code != 250:
            raise DownstreamUnavailable(f"downstream answers HELO with {answer}")
