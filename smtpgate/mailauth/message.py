"""A message as it came in: bytes, its header fields, its body. Nothing is decoded and nothing is changed."""

from functools import cached_property
from typing import NamedTuple

# Sendmail's bound is 32 KiB, and it is known to hurt nobody; reading this much takes a few milliseconds.
LARGEST_HEADER = 256 * 1024
MOST_HEADER_LINES = 5000


class HeaderField(NamedTuple):
    """One header field. raw: all its bytes, folding and final CRLF included."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands behind the colon, still folded, without the final CRLF."""
        return self.raw.partition(b":")[2].removesuffix(b"\r\n")


class Message:
    """The content between DATA and the final dot, dots un-stuffed, line ends CRLF."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def header_end(self) -> int:
        """Where the header section ends: the offset behind its last CRLF.

        RFC 5322 §2.1: the body is separated from the header section by an empty line. Some readers see its end at the
        first line that is no field; what stands behind that line is treated as header too, to be on the safe side.
        """
        content = self.content
        if content.startswith(b"\r\n"):
            return 0
        blank = content.find(b"\r\n\r\n")
        return len(content) if blank < 0 else blank + 2

    @property
    def header_too_large(self) -> bool:
        """Whether the header section is larger than any mail's, so that reading its fields would hold others up."""
        end = self.header_end
        return end > LARGEST_HEADER or self.content.count(b"\n", 0, end) > MOST_HEADER_LINES

    @cached_property
    def fields(self) -> tuple[HeaderField, ...]:
        """The header fields in order. Lines that are no field (no colon) are kept with an empty name."""
        # Lines are collected before they are joined: a field of many lines costs no more than its length.
        folded: list[list[bytes]] = []
        for line in self.content[: self.header_end].splitlines(keepends=True):
            if line[:1] in (b" ", b"\t") and folded:
                folded[-1].append(line)
            else:
                folded.append([line])
        return tuple(HeaderField(_name(lines[0]), b"".join(lines)) for lines in folded)

    @cached_property
    def body(self) -> memoryview:
        """Everything behind the empty line that ends the header section."""
        start = self.header_end
        if self.content[start : start + 2] == b"\r\n":
            start += 2
        return memoryview(self.content)[start:]


def _name(line: bytes) -> bytes:
    name, colon, _ = line.partition(b":")
    return name.rstrip(b" \t").lower() if colon else b""
