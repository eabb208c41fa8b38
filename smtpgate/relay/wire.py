"""What leaves for the downstream: addresses and content in the one form that nobody can misread.

The downstream trusts this host. Whatever slipped through before, nothing is sent from here that another server could
take for a command or for the end of a message (SMTP smuggling).
"""

import re
from collections.abc import Iterator

from smtpgate.spool import Piece

# What is looked through at once, in bytes: small enough to be copied cheaply and not to hold up the event loop.
CHUNK = 1 << 17
# RFC 5321 §4.1.2: blanks and angle brackets stand only inside a quoted local part, control characters nowhere.
_ADDRESS = re.compile(r'(?:[^\x00-\x20\x7f-\xa0<>"\\]++|"(?:[^\x00-\x1f\x7f-\x9f"\\]++|\\[\x20-\x7e])*")*\Z')
# RFC 5321 §4.1.2: esmtp-value, and RFC 6531 §3.3.
_VALUE = re.compile(r"[!-<>-~\xa1-\U0010ffff]+\Z")
# These start with a literal byte, which re finds fast: less than bytes.count takes.
_BARE_LF = re.compile(rb"\n(?<!\r\n)")
_BARE_CR = re.compile(rb"\r(?!\n)")
_LF_DOT = re.compile(rb"\n\.")


class Unsendable(ValueError):
    """An address or content that must never be sent; it should have been refused long before."""


def checked_address(address: str) -> str:
    """The address itself, for use between "<" and ">"; "" is the null sender. Raises Unsendable."""
    if not _ADDRESS.match(address):
        raise Unsendable(f"an address that cannot be sent: {address[:100]!r}")
    return address


def checked_value(value: str) -> str:
    """A parameter's value, for use behind "=". Raises Unsendable."""
    if not _VALUE.match(value):
        raise Unsendable(f"a parameter that cannot be sent: {value[:100]!r}")
    return value


class Encoder:
    """The content as it follows 354, in chunks: dots stuffed, the final dot included.

    Give it the content piece by piece; small ones are joined, large ones cut, so that a chunk has about CHUNK bytes.
    Content that does not end with CRLF gets one. Raises Unsendable instead of giving a chunk that holds a bare CR, a
    bare LF or a NUL. strict: somebody has looked at all of it already (Content.strict).
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._gathered: list[Piece] = []
        self._size = 0
        self._carried = b""  # a CR waits for its LF, so that no chunk begins or ends between them
        self._at_line_start = True

    def encode(self, piece: Piece) -> Iterator[bytes]:
        """The chunks that are full."""
        for start in range(0, len(piece), CHUNK):
            part = piece if len(piece) <= CHUNK else memoryview(piece)[start : start + CHUNK]
            if self._size + len(part) > CHUNK:
                yield self._chunk()
            self._gathered.append(part)
            self._size += len(part)

    def end(self) -> bytes:
        """The last chunk."""
        last = self._chunk()
        if self._carried:
            raise Unsendable("content that ends with a bare CR")
        return last + self._final()

    def _chunk(self) -> bytes:
        chunk = self._carried + b"".join(self._gathered)
        self._gathered, self._size = [], 0
        self._carried = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk.removesuffix(b"\r")
        if chunk:
            at_line_start, self._at_line_start = self._at_line_start, chunk.endswith(b"\n")
            chunk = self._encoded(chunk, at_line_start)
        return chunk

    def _encoded(self, chunk: bytes, at_line_start: bool) -> bytes:
        if not self._strict:
            _check(chunk)
        # RFC 5321 §4.5.2: a line that begins with a dot gets a second one.
        if b"." in chunk and _LF_DOT.search(chunk):
            chunk = chunk.replace(b"\r\n.", b"\r\n..")
        return b"." + chunk if at_line_start and chunk.startswith(b".") else chunk

    def _final(self) -> bytes:
        return b".\r\n" if self._at_line_start else b"\r\n.\r\n"


class ChunkEncoder(Encoder):
    """The content as it follows BDAT: just as it is. Raises Unsendable as Encoder does."""

    def _encoded(self, chunk: bytes, at_line_start: bool) -> bytes:
        if not self._strict:
            _check(chunk)
        return chunk

    def _final(self) -> bytes:
        return b""


def _check(chunk: bytes) -> None:
    if b"\0" in chunk or _BARE_LF.search(chunk) or _BARE_CR.search(chunk):
        raise Unsendable("content with a bare CR, a bare LF or a NUL")
