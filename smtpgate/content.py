"""The content of a message, wherever it is kept: its head in memory, its body in memory or in a spool file."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from smtpgate.spool import Piece, SpoolFile

# Sendmail's bound is 32 KiB, and it is known to hurt nobody; reading this much takes a few milliseconds.
LARGEST_HEADER = 256 * 1024
# Of a header section that is larger, this much is kept in the head: enough to tell that it is.
MOST_HEAD = LARGEST_HEADER + 4
# How much of a body is read from its file at once, in bytes.
_READ = 128 * 1024
# A body that is rather copied than made a piece of its own.
_SMALL = 16 * 1024

Body = memoryview | SpoolFile


class Content:
    """What stands between DATA and the final dot, dots un-stuffed.

    head: the header section and the empty line behind it, always in memory. body: everything behind.
    Iterating gives all of it in pieces, a small message in one, and blocks if the body is in a file: in a thread only.
    `async for` gives the same without blocking, and without waiting if all is in memory.
    strict: whoever took it in has looked at all of it, and there is no bare CR, bare LF or NUL.
    """

    __slots__ = ("body", "head", "strict")

    def __init__(self, head: bytes, body: Body) -> None:
        self.head = head
        self.body = body
        self.strict = False

    @classmethod
    def of(cls, data: bytes | bytearray) -> "Content":
        """Content that is in memory. The data must not be changed any more."""
        end = head_length(data)
        if end is None:
            end = len(data)
        return cls(bytes(data[:end]), memoryview(data)[end:])

    @property
    def size(self) -> int:
        """Octets of it all."""
        return len(self.head) + len(self.body)

    def with_head(self, head: bytes) -> "Content":
        """The same body below another head."""
        content = Content(head, self.body)
        content.strict = self.strict
        return content

    def close(self) -> None:
        """Let go of the body. Whoever is reading it may go on; what was made by with_head() has it still."""
        self.body = memoryview(b"")

    def __iter__(self) -> Iterator[Piece]:
        body = self.body
        if isinstance(body, memoryview) and len(body) <= _SMALL:
            yield b"".join((self.head, body))
            return
        yield self.head
        for start in range(0, len(body), _READ):
            yield body[start : start + _READ]

    def __aiter__(self) -> AsyncIterator[Piece]:
        return _Pieces(self)


class _Pieces:
    """The pieces of a content, one after the other, read in a thread if need be."""

    def __init__(self, content: Content) -> None:
        self._pieces = iter(content)
        self._threads = content.body.threads if isinstance(content.body, SpoolFile) else None

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> Piece:
        if self._threads is None:
            piece = next(self._pieces, None)
        else:
            piece = await asyncio.get_running_loop().run_in_executor(self._threads, next, self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return piece


def head_length(data: bytes | bytearray) -> int | None:
    """Where the head of a message ends of which this is the beginning; None if it is longer than that.

    RFC 5322 §2.1: the body is separated from the header section by an empty line. Some readers see its end at the first
    line that is no field; what stands behind that line is treated as header too, to be on the safe side.
    """
    if data.startswith(b"\r\n"):
        return 2
    blank = data.find(b"\r\n\r\n", 0, MOST_HEAD)
    if blank >= 0:
        return blank + 4
    return MOST_HEAD if len(data) >= MOST_HEAD else None
