"""A message as it came in: its header fields, its body. Nothing is decoded and nothing is changed."""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from smtpgate.content import LARGEST_HEADER, Body, Content

MOST_HEADER_LINES = 5000


class HeaderField(NamedTuple):
    """One header field. raw: all its bytes, folding and final CRLF included."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands behind the colon, still folded, without the final CRLF."""
        return self.raw.partition(b":")[2].removesuffix(b"\r\n")


class HeaderEdit(NamedTuple):
    """What becomes of a header field. before: fields put before it. instead: what replaces it, None if it stays."""

    before: bytes = b""
    instead: bytes | None = None

    def then(self, later: "HeaderEdit") -> "HeaderEdit":
        """Both, one after the other."""
        return HeaderEdit(self.before + later.before, self.instead if later.instead is None else later.instead)


class Message:
    """A message: what its content means. Octets are taken for content that is in memory.

    header: the header section, its last CRLF included. If it is too large, only a part of it.
    """

    def __init__(self, content: Content | bytes) -> None:
        self.content = content if isinstance(content, Content) else Content.of(content)
        head = self.content.head
        self.header = head[:-2] if head == b"\r\n" or head.endswith(b"\r\n\r\n") else head
        self._lower: bytes | None = None

    @property
    def header_too_large(self) -> bool:
        """Whether the header section is larger than any mail's, so that reading its fields would hold others up."""
        return len(self.header) > LARGEST_HEADER or self.header.count(b"\n") > MOST_HEADER_LINES

    @cached_property
    def fields(self) -> tuple[HeaderField, ...]:
        """The header fields in order. Lines that are no field (no colon) are kept with an empty name."""
        # Lines are collected before they are joined: a field of many lines costs no more than its length.
        folded: list[list[bytes]] = []
        for line in self.header.splitlines(keepends=True):
            if line[:1] in (b" ", b"\t") and folded:
                folded[-1].append(line)
            else:
                folded.append([line])
        return tuple(HeaderField(_name(lines[0]), b"".join(lines)) for lines in folded)

    def may_have(self, name: bytes) -> bool:
        """Whether a field of this name, in lower case, may be there: quickly told, because most often it is not."""
        if self._lower is None:
            self._lower = self.header.lower()
        return name in self._lower

    def has_more_than(self, most: int, name: bytes) -> bool:
        """Whether more than so many fields have this name, in lower case."""
        if not self.may_have(name) or self._lower is None or self._lower.count(name) <= most:
            return False
        return sum(field.name == name for field in self.fields) > most

    def edited(self, edits: Mapping[int, HeaderEdit]) -> "Message":
        """The same with some fields edited, which are told by their numbers."""
        if not edits:
            return self
        header = bytearray()
        for number, field in enumerate(self.fields):
            before, instead = edits.get(number, UNCHANGED)
            header += before + (field.raw if instead is None else instead)
        return Message(self.content.with_head(bytes(header) + self.content.head[len(self.header) :]))

    @property
    def body(self) -> Body:
        """Everything behind the empty line that ends the header section."""
        return self.content.body


UNCHANGED = HeaderEdit()


def _name(line: bytes) -> bytes:
    name, colon, _ = line.partition(b":")
    return name.rstrip(b" \t").lower() if colon else b""
