"""DKIM's canonicalisation (RFC 6376 §3.4), in time linear in the input.

Whole runs of bytes are handled by the interpreter's C code, at most _PIECE bytes at a time, so that a thread that
does this work gives way to the event loop again and again, and never has more than that of a body in memory.
"""

import hashlib
from collections.abc import Iterator

from smtpgate.content import Body
from smtpgate.mailauth.message import HeaderField
from smtpgate.spool import Piece

_PIECE = 256 * 1024
_BLANKS = b" \t"
_LINE_END = b"\r\n"


def relaxed_field(field: HeaderField) -> bytes:
    """A header field in the relaxed form (§3.4.2), with its CRLF."""
    value = _with_single_blanks(field.value.replace(_LINE_END, b"")).strip(b" ")
    return field.name + b":" + value + _LINE_END


def simple_field(field: HeaderField) -> bytes:
    """A header field in the simple form (§3.4.1): as it is."""
    return field.raw


def canonical_body(body: Body, *, relaxed: bool) -> Iterator[Piece]:
    """The body in the relaxed (§3.4.4) or simple (§3.4.3) form, piece by piece. Blocks if the body is in a file."""
    if not relaxed:
        yield from _pieces(body, _end_without(body, _LINE_END))
        yield _LINE_END
        return
    # A line of blanks alone becomes an empty line, so blanks and line ends go together here.
    end = _end_without(body, _BLANKS + _LINE_END)
    open_end = b""  # a blank is decided by what follows; the last piece does not end with one
    for piece in _pieces(body, end):
        text = _with_single_blanks(open_end + bytes(piece)).replace(b" \r\n", _LINE_END)
        open_end = b" \r" if text.endswith(b" \r") else b" " if text.endswith(b" ") else b""
        yield text.removesuffix(open_end)
    if end:
        yield _LINE_END


def body_digest(body: Body, *, relaxed: bool, length: int | None) -> tuple[bytes, int]:
    """SHA-256 of the canonical body's first `length` octets (all, if None), and the canonical body's whole length."""
    digest, total = hashlib.sha256(), 0
    for piece in canonical_body(body, relaxed=relaxed):
        digest.update(piece if length is None else piece[: max(length - total, 0)])
        total += len(piece)
    return digest.digest(), total


def _with_single_blanks(data: bytes) -> bytes:
    data = data.replace(b"\t", b" ")
    # Each round halves every run of blanks.
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data


def _end_without(body: Body, trailing: bytes) -> int:
    """Where the body ends when these bytes are taken from its end."""
    end = len(body)
    while end:
        start = max(end - _PIECE, 0)
        if kept := len(bytes(body[start:end]).rstrip(trailing)):
            return start + kept
        end = start
    return 0


def _pieces(body: Body, end: int) -> Iterator[Piece]:
    """The body up to there."""
    for start in range(0, end, _PIECE):
        yield body[start : min(start + _PIECE, end)]
