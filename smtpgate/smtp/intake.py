"""What came from the client and was not read yet."""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Awaitable, Callable

from smtpgate.smtp.foreign import TLS_RECORD
from smtpgate.smtp.proxy_protocol import ProxyError, ProxyHeader, parse_header

# How much is buffered before the client is slowed down is twice this; it is also the size of a chunk of DATA.
CHUNK = 65536


class Intake(asyncio.StreamReader):
    """A StreamReader that can tell whether more is there, and take back what was read too far."""

    _buffer: bytearray
    _eof: bool
    _paused: bool
    _transport: asyncio.Transport
    _wait_for_data: Callable[[str], Awaitable[None]]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=CHUNK, loop=loop)

    @property
    def has_line(self) -> bool:
        """Whether a whole line can be read without waiting."""
        return b"\n" in self._buffer

    @property
    def has_bytes(self) -> bool:
        """Whether anything can be read without waiting."""
        return bool(self._buffer)

    @property
    def beginning(self) -> bytes:
        """The first bytes that were not read yet, for the record."""
        return bytes(self._buffer[:60])

    def take_back(self, data: bytes) -> None:
        """Put bytes before everything that was not read yet."""
        self._buffer[:0] = data

    def take_all(self) -> bytes:
        """Everything that was not read yet. Whether the transport reads on is the caller's business from now on."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._paused = False
        return data

    def moved_to(self, transport: asyncio.Transport) -> None:
        """From now on it is another transport, above the former one, that is slowed down."""
        if self._paused:
            transport.pause_reading()
            self._transport.resume_reading()
        self._transport = transport

    async def wait_for_bytes(self, seconds: float) -> None:
        """Wait until something can be read or the stream has ended, for so many seconds at most."""
        try:
            async with asyncio.timeout(seconds):
                if not self._buffer and not self.at_eof():
                    await self._wait_for_data("bytes")
        except TimeoutError:
            pass

    async def proxy_header(self, seconds: float) -> ProxyHeader:
        """The header that a proxy sends before everything else, within so many seconds.

        Raises ProxyError, and asyncio.IncompleteReadError if the stream ends before its first byte.
        """
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while (header := parse_header(data)) is None:
                    more = await self.read(CHUNK)
                    if not more and not data:
                        raise asyncio.IncompleteReadError(b"", None)
                    if not more:
                        raise ProxyError("the connection ended inside of it")
                    data += more
        except TimeoutError:
            raise ProxyError(f"not complete within {seconds:g} s") from None
        self.take_back(data[header.length :])
        return header

    async def line(self) -> bytes | None:
        """The next line with its LF; None if it is longer than any line may be: it is skipped, not kept.

        What begins like a TLS record is returned as it is.

        Raises asyncio.IncompleteReadError at the end of the stream.
        """
        too_long = False
        while len(self._buffer) < len(TLS_RECORD) and TLS_RECORD.startswith(self._buffer) and not self._eof:
            await self._wait_for_data("line")
        if self._buffer.startswith(TLS_RECORD):  # it may wait for an answer without ever sending a line end
            return await self.read(CHUNK)
        while True:
            try:
                line = await self.readuntil(b"\n")
            except asyncio.LimitOverrunError as overrun:
                too_long = True
                await self.readexactly(overrun.consumed)
            else:
                return None if too_long else line


def bytes_waiting(fd: int) -> bool:
    """Whether the kernel holds bytes of this socket that nobody read yet."""
    return bool(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0])
