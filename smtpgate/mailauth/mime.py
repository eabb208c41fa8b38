"""The parts of a message (RFC 2045, RFC 2046), found in one pass over its body, whatever pieces that comes in.

Python's email parser keeps everything in memory and recurses as deeply as a stranger likes. This one keeps the header
of one part, does not recurse, and stops at bounds. Where mail programs see a malformed message differently, it sees a
part if any of them may.
"""

import asyncio
from dataclasses import dataclass

from smtpgate.mailauth.message import MOST_HEADER_LINES, Message
from smtpgate.mailauth.mime_fields import MOST_PARAMETERS, media_type, names, parameters

MOST_PARTS = 1000
MOST_DEPTH = 50
# Of one part's header: the octets of a line, those of all Content fields, and the lines.
_LONGEST_LINE = 64 * 1024
_MOST_FIELDS = 32 * 1024
_MOST_LINES = MOST_HEADER_LINES
_LONGEST_DELIMITER = 4096
# Lines of headers, and of bodies those that begin as delimiters do: each costs microseconds.
_MOST_LOOKED_AT = 200_000
# How much is looked through at once: a few milliseconds, whatever it is.
_AT_ONCE = 8 * 1024
_MESSAGES = ("message/rfc822", "message/global")


@dataclass(frozen=True, slots=True)
class Part:
    """One part. types: in lower case, as many as its header names. names: those of its file, in lower case."""

    types: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class _Level:
    """A multipart, or a message inside a message, that is open. boundaries: those that begin its parts."""

    boundaries: list[bytes]
    digest: bool = False


class MimeWalker:
    """Finds the parts. parts: those found so far, the message itself first. too_complex: not all were looked at."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.too_complex = False
        self._levels: list[_Level] = []
        self._boundaries: dict[bytes, int] = {}  # of all open levels, the number of the outermost that has it
        self._tail = b""
        self._mid_line = False
        self._in_header = True
        self._fields: list[bytes] = []
        self._lines = self._octets = self._looked_at = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to be found."""
        return self.too_complex or not (self._in_header or self._boundaries)

    def feed(self, data: bytes) -> None:
        """The next octets of the message."""
        data, at = self._tail + data, 0
        self._tail = b""
        while at < len(data) and not self.is_done:
            at = self._header_line(data, at) if self._in_header else self._body(data, at)

    def close(self) -> None:
        """There is no more."""
        if self._tail:
            self.feed(b"\r\n")
        if self._in_header and not self.is_done:
            self._end_header()

    def _header_line(self, data: bytes, at: int) -> int:
        """Read a line of a part's header; returns where the next one begins."""
        end = data.find(b"\n", at)
        if end < 0:
            self._tail = data[at:]
            if len(self._tail) > _LONGEST_LINE:
                self.too_complex = True
            return len(data)
        line = data[at:end].rstrip(b"\r")
        self._lines += 1
        self._count()
        if self._lines > _MOST_LINES:
            self.too_complex = True
        elif not line:
            self._end_header()
        elif line.startswith(b"--") and self._level(line) is not None:
            self._end_header()
            self._delimiter(line)
        elif line[:1] in (b" ", b"\t"):
            if self._fields:
                self._keep(b" " + line.lstrip())
        elif line[:8].lower() == b"content-":
            self._fields.append(b"")
            self._keep(line)
        elif self._fields and self._fields[-1]:
            self._fields.append(b"")  # what is folded below another field is not ours
        return end + 1

    def _count(self) -> None:
        self._looked_at += 1
        if self._looked_at > _MOST_LOOKED_AT:
            self.too_complex = True

    def _keep(self, line: bytes) -> None:
        if not self._fields[-1] and line[:1] == b" ":
            return
        self._octets += len(line)
        if self._octets > _MOST_FIELDS:
            self.too_complex = True
        self._fields[-1] += line

    def _end_header(self) -> None:
        """A part's header is read: what is it?"""
        types: list[str] = []
        found: list[str] = []
        boundaries: list[bytes] = []
        digest = False
        for field in self._fields:
            name, _, octets = field.partition(b":")
            value = octets.decode("utf-8", "replace")
            self.too_complex = self.too_complex or value.count(";") > MOST_PARAMETERS
            match name.strip().lower():
                case b"content-type":
                    given = parameters(value)
                    types.append(media_type(value))
                    found += names(given, "name")
                    if types[-1].startswith("multipart/"):
                        boundaries += [text.encode("utf-8", "replace") for text in given.get("boundary", ())]
                        digest = digest or types[-1] == "multipart/digest"
                case b"content-disposition":
                    found += names(parameters(value), "filename")
        if not any(types):
            in_digest = bool(self._levels) and self._levels[-1].digest
            types = ["message/rfc822" if in_digest else "text/plain"]
        self.parts.append(Part(tuple(dict.fromkeys(filter(None, types))), tuple(dict.fromkeys(filter(None, found)))))
        self._in_header, self._fields, self._lines, self._octets = False, [], 0, 0
        is_message = any(kind in _MESSAGES for kind in types)
        if boundaries or is_message:
            self._open(_Level(boundaries, digest))
            self._in_header = is_message and not boundaries
        self.too_complex = self.too_complex or len(self.parts) >= MOST_PARTS or len(self._levels) > MOST_DEPTH

    def _open(self, level: _Level) -> None:
        for boundary in level.boundaries:
            self._boundaries.setdefault(boundary, len(self._levels))
        self._levels.append(level)

    def _body(self, data: bytes, at: int) -> int:
        """Go on to the next line that may be a delimiter; returns where to go on."""
        if self._mid_line:
            end = data.find(b"\n", at)
            self._mid_line = end < 0
            return len(data) if end < 0 else end + 1
        if data.startswith(b"--", at):
            self._count()
            end = data.find(b"\n", at, at + _LONGEST_DELIMITER)
            if end >= 0:
                self._delimiter(data[at:end])
                return end + 1
            if len(data) - at < _LONGEST_DELIMITER:
                self._tail = data[at:]
                return len(data)
            self._mid_line = True
            return at
        if len(data) - at < 2:
            self._tail = data[at:]
            return len(data)
        found = data.find(b"\n--", at)
        if found >= 0:
            return found + 1
        end = data.rfind(b"\n", at)
        if end >= 0 and data[end + 1 :] in (b"", b"-"):
            self._tail = data[end + 1 :]
        else:
            self._mid_line = True
        return len(data)

    def _level(self, line: bytes) -> int | None:
        """Whose delimiter a line is, None if it is none. RFC 2046 §5.1.1: blanks may follow."""
        text = line[2:].rstrip(b" \t\r")
        level = self._boundaries.get(text)
        return self._boundaries.get(text[:-2]) if level is None and text.endswith(b"--") else level

    def _delimiter(self, line: bytes) -> None:
        """A part begins, or the last one ends, in the level whose delimiter it is; deeper levels end with it."""
        level = self._level(line)
        if level is None:
            return
        for index in range(level + 1, len(self._levels)):
            for boundary in self._levels[index].boundaries:
                if self._boundaries.get(boundary) == index:
                    del self._boundaries[boundary]
        del self._levels[level + 1 :]
        # Behind the last part there should be nothing; a delimiter there is still seen as one.
        self._in_header = line[2:].rstrip(b" \t\r") in self._boundaries


async def find_parts(message: Message) -> MimeWalker:
    """Look through a message. Others have their turn in between. Raises OSError if its file cannot be read."""
    walker = MimeWalker()
    async for piece in message.content:
        for start in range(0, len(piece), _AT_ONCE):
            walker.feed(bytes(piece[start : start + _AT_ONCE]))
            if walker.is_done:
                return walker
            await asyncio.sleep(0)
    walker.close()
    return walker
