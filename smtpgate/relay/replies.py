"""Replies as they come in from the downstream: bytes in, whole replies out. No input or output is done here.

What is odd, and still says yes or no, counts as it does for Postfix's smtp(8) (smtp_chat_resp): lines that are too
long, lone LFs, codes that change within their class. Else a message that was taken would be sent again and again.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from smtpgate.relay.downstream import RelayReply

# RFC 5321 §4.5.3.1.5 allows 512 octets a line; what is behind so many is not looked at (Postfix: line_length_limit).
MAX_LINE = 2048
# In one reply. Postfix stops only when the time is up.
MAX_LINES = 100
MAX_OCTETS = 1 << 18
# Of the lines together: every answer is kept in the record, and there may be hundreds in one.
MAX_TEXT = 2048
# RFC 5321 §4.2: three digits, then a blank (last line), a hyphen (more follow) or nothing.
_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?\Z", re.DOTALL)
# RFC 2034 §4: the enhanced code stands at the start of the text of every line.
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |\Z)")


class WireReply(NamedTuple):
    """A reply as it came in. lines: the text of each line, without the code.

    joined: all of it in one line of bounded length, with the enhanced code apart.
    """

    code: int
    lines: tuple[str, ...]
    joined: RelayReply


class Nonsense(Exception):
    """What came in is no SMTP reply. The parser is of no use afterwards."""


class ReplyParser:
    """Collects lines until replies are complete. Lines end with CR LF; a lone LF is tolerated."""

    __slots__ = ("_lines", "_octets", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._octets = 0
        self._lines: list[WireReply] = []  # of a reply that is not complete

    @property
    def is_between_replies(self) -> bool:
        """Whether no part of a reply has come in."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> Iterator[WireReply]:
        """Take what was received, and yield each reply that it completes. Raises Nonsense, behind those before it."""
        self._octets += len(data)
        *lines, rest = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = rest[:MAX_LINE]
        for line in lines:
            reply = self._line(line[:MAX_LINE].rstrip(b"\r"))
            if reply is not None:
                self._octets = len(rest)
                yield reply
        if len(self._rest) == MAX_LINE:
            _parsed(self._rest)  # its end may be far away
        if self._octets > MAX_OCTETS:
            raise Nonsense("a reply without end")

    def _line(self, line: bytes) -> WireReply | None:
        reply, goes_on = _parsed(line)
        before = self._lines
        # RFC 5321 §4.2.1: the code is the same in all lines. Where it is not, the last one counts, unless the reply
        # says both yes and no.
        if before and reply.code // 100 != before[-1].code // 100:
            raise Nonsense(f"{reply.code} in the middle of a {before[-1].code} reply")
        if goes_on:
            before.append(reply)
            if len(before) >= MAX_LINES:
                raise Nonsense("a reply of too many lines")
            return None
        if before:
            self._lines = []
            return _reply(reply.code, tuple([one.lines[0] for one in (*before, reply)]))
        return reply


@lru_cache(maxsize=256)  # most lines but those that answer a message are always the same
def _parsed(line: bytes) -> tuple[WireReply, bool]:
    """A line as a reply of its own, and whether more follow. Raises Nonsense."""
    match = _LINE.match(line)
    if match is None:
        raise Nonsense(f"not a reply line: {line[:80]!r}")
    code, mark, text = match.groups(b"")
    return _reply(int(code), (text.decode("utf-8", "replace"),)), mark == b"-"


def _reply(code: int, lines: tuple[str, ...]) -> WireReply:
    match = _ENHANCED.match(lines[-1])
    texts: Iterable[str] = lines
    enhanced = None
    # RFC 2034 §4: its class is that of the reply; anything else is just text.
    if match is not None and int(match[1][0]) == code // 100:
        enhanced = match[1]
        texts = [line.removeprefix(enhanced).lstrip(" ") for line in lines]
    # Long ones, of which a hostile server has as many as it likes, would fill the memory.
    return WireReply(code, lines, RelayReply(code, enhanced, " ".join(texts)[:MAX_TEXT]))
