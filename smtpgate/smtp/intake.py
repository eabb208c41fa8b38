"""What came from the client and was not read yet.

asyncio's StreamReader does the same for everybody; this one does only what SMTP needs, at about half the cost: what is
there already is taken without waiting, what came in one piece and is read in one is not copied, and the bytes of a
message go where they belong as they come in.
"""

import asyncio
import ctypes
import termios
from collections.abc import Callable

from smtpgate.smtp.command import LONGEST_LINE
from smtpgate.smtp.foreign import TLS_RECORD
from smtpgate.smtp.proxy_protocol import ProxyError, ProxyHeader, parse_header

# The client is slowed down when more than twice this waits to be read.
CHUNK = 65536

# Takes in bytes as they come. What it returns it leaves to whoever reads next, and wants no more; None if it does.
Sink = Callable[[bytes], bytes | None]


class Intake:
    """Bytes of one connection, for one reader at a time.

    unread: those that can be read without waiting. at_eof: whether the client has ended its stream.
    """

    __slots__ = ("_is_paused", "_loop", "_overlong", "_sink", "_transport", "_waiter", "at_eof", "unread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.unread = b""
        self.at_eof = False
        self._loop = loop
        self._overlong: bytes | None = None  # the beginning of a line that is longer than any may be
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._transport: asyncio.Transport

    # --- what the connection calls

    def connected(self, transport: asyncio.Transport) -> None:
        """Bytes come from there, until moved_to()."""
        self._transport = transport

    def moved_to(self, transport: asyncio.Transport) -> None:
        """From now on it is another transport, above the former one, that is slowed down."""
        if self._is_paused:
            transport.pause_reading()
            self._transport.resume_reading()
        self._transport = transport

    def feed(self, data: bytes) -> None:
        """Bytes came in."""
        if self._sink is not None:
            self._pass_on(self._sink, data)
            return
        self.unread += data
        if len(self.unread) > 2 * CHUNK and not self._is_paused:
            self._transport.pause_reading()
            self._is_paused = True
        self._wake()

    def end(self) -> None:
        """No more will come."""
        self.at_eof = True
        self._wake()

    # --- what can be told without waiting

    def take_all(self) -> bytes:
        """Everything that was not read yet. Whether the transport reads on is the caller's business from now on."""
        self._is_paused = False
        return self._take()

    def next_line(self) -> bytes | None:
        """A line with its LF, None if none is there yet.

        Of a line that is longer than any may be, only a beginning is given, which is longer than any may be too. What
        begins like a TLS record is given as it is: it may wait for an answer without ever sending a line end.
        """
        if not self.unread:
            return None
        end = self.unread.find(b"\n")
        if end < 0:
            return self._unended()
        line = self._take(end + 1)
        if self._overlong is not None:
            line, self._overlong = self._overlong, None
        return line

    def _unended(self) -> bytes | None:
        if self._overlong is None and self.unread.startswith(TLS_RECORD):
            return self._take()
        if len(self.unread) > CHUNK or self._overlong is not None:
            dropped = self._take()
            self._overlong = self._overlong or dropped[: LONGEST_LINE + 1]
        return None

    def _take(self, size: int | None = None) -> bytes:
        """So many of the unread bytes; None for all."""
        data, self.unread = (self.unread, b"") if size is None else (self.unread[:size], self.unread[size:])
        if self._is_paused and len(self.unread) <= CHUNK:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    # --- what waits

    def more(self) -> asyncio.Future[None]:
        """What to wait for until more can be read. Raises EOFError at the end of the stream."""
        if self.at_eof:
            raise EOFError
        self._waiter = self._loop.create_future()
        return self._waiter

    async def wait_for_bytes(self, seconds: float) -> None:
        """Wait until something can be read or the stream has ended, for so many seconds at most."""
        try:
            async with asyncio.timeout(seconds):
                if not self.unread and not self.at_eof:
                    await self.more()
        except TimeoutError:
            pass

    async def pour(self, sink: Sink) -> None:
        """Give the sink what comes, as it comes, until it wants no more.

        Raises what the sink raises, and EOFError at the end of the stream.
        """
        if self.unread:
            rest = sink(self._take())
            if rest is not None:
                self.unread = rest
                return
        more = self.more()
        self._sink = sink
        try:
            await more
        finally:
            unfinished, self._sink = self._sink is not None, None
        if unfinished:
            raise EOFError

    async def proxy_header(self, seconds: float) -> ProxyHeader:
        """The header that a proxy sends before everything else, within so many seconds.

        Raises ProxyError, and EOFError if the stream ends before its first byte.
        """
        try:
            async with asyncio.timeout(seconds):
                while (header := parse_header(self.unread)) is None:
                    if self.at_eof and self.unread:
                        raise ProxyError("the connection ended inside of it")
                    await self.more()
        except TimeoutError:
            raise ProxyError(f"not complete within {seconds:g} s") from None
        self._take(header.length)
        return header

    def _pass_on(self, sink: Sink, data: bytes) -> None:
        """Give the sink what came in just now."""
        try:
            rest = sink(data)
        except Exception as error:
            self._sink = None
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if rest is not None:
            self._sink, self.unread = None, rest
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


# Unlike fcntl.ioctl() this keeps the interpreter's lock: it never waits, but beside threads it would for the lock.
_ioctl = ctypes.PyDLL(None).ioctl
_ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
_count = ctypes.c_int()
_into_count = ctypes.addressof(_count)  # a number is passed on in half the time that a pointer takes


def bytes_waiting(fd: int) -> bool:
    """Whether the kernel holds bytes of this socket that nobody read yet."""
    return _ioctl(fd, termios.FIONREAD, _into_count) == 0 and _count.value > 0
