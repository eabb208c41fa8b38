"""DNS messages (RFC 1035 §4): one question out, one answer in.

Strangers choose what stands in an answer. A general decoder can be made to spend seconds on a single one of 64 KiB
(thousands of records, each with a compressed name of a hundred labels), on the event loop. This one reads the types
that we ask for, and no more records than anybody needs.
"""

import ipaddress
import string
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from smtpgate.dns.resolver import Mx, RecordType

CODES: dict[RecordType, int] = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
}  # fmt: skip
MAX_RECORDS = 100  # of a section; the excess is dropped, as Postfix does since 3.9
# Of one name, which has 127 labels at most; pointers to nothing but pointers could be thousands in a message.
_MAX_POINTERS = 127

_OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)  # EDNS: 1232 octets pass every path without fragments
_LENGTHS = [bytes((length,)) for length in range(64)]
_CASE_BIT = bytes(0x20 if chr(octet) in string.ascii_letters else 0 for octet in range(256))
_ENDS = {kind: b"\0" + struct.pack("!HH", code, 1) for kind, code in CODES.items()}
# Recursion is desired; one question, and with EDNS one additional record.
_HEADERS = {edns: struct.pack("!5H", 0x0100, 1, 0, 0, int(edns)) for edns in (False, True)}
_COUNTS = struct.Struct("!5H")
_RECORD = struct.Struct("!HHIH")
_TO_QUESTION = b"\xc0\x0c"  # a pointer to where the question's name stands
_ERRORS = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}
_PLAIN = (string.ascii_lowercase + string.digits + "_-.").encode()
_SPECIAL = b'"().;\\@$'


class FormatError(ValueError):
    """Not a well-formed answer to the question."""


class OtherCase(FormatError):
    """An answer to the question, which it repeats with letters in another case."""


class Soa(NamedTuple):
    """What we need of a zone's SOA: its primary server, and the TTL of negative answers in seconds."""

    host: str
    minimum: int


class Record(NamedTuple):
    """A resource record. value: see Answer; Soa for SOA."""

    owner: str
    code: int
    ttl: int
    value: Any


class Response(NamedTuple):
    """What a server answered. name: the question's, as Record.owner spells it. rcode: RFC 1035 §4.1.1."""

    name: str
    rcode: int
    truncated: bool = False
    answer: Sequence[Record] = ()
    authority: Sequence[Record] = ()

    @property
    def error(self) -> str:
        """The word for an rcode that is neither NOERROR nor NXDOMAIN, "" for these two."""
        return "" if self.rcode in (0, 3) else _ERRORS.get(self.rcode, f"RCODE {self.rcode}")


def write_question(identifier: int, name: str, kind: RecordType, *, mix: bytes = b"", edns: bool = True) -> bytes:
    """A recursive question for an absolute name, whose characters are all taken literally.

    mix: random octets, one more than the name has; they choose the case of its letters. ValueError: no
    such name can exist.
    """
    labels = name.encode("ascii").split(b".")
    if len(name) > 253 or b"" in labels:
        raise ValueError(f"not a possible name: {name[:300]!r}")
    try:
        spelt = b"".join([_LENGTHS[len(label)] + label for label in labels])
    except IndexError:
        raise ValueError(f"not a possible name: {name[:300]!r}") from None
    if mix:
        # draft-vixie-dnsext-dns0x20; the length of a label is below 64, where no letter is.
        flips = int.from_bytes(spelt.translate(_CASE_BIT)) & int.from_bytes(mix)
        spelt = (int.from_bytes(spelt) ^ flips).to_bytes(len(spelt))
    return b"".join((identifier.to_bytes(2), _HEADERS[edns], spelt, _ENDS[kind], _OPT if edns else b""))


def read_answer(wire: bytes, question: bytes, name: str | None = None, *, exact: bool = True) -> Response:
    """Read a packet.

    name: the question's, if it is known how Record.owner spells it. exact: it must be repeated in the same case.
    FormatError: it is malformed, or not the answer to this question. OtherCase: it would be, but for the case.
    """
    try:
        return _read(wire, question, name, exact)
    except FormatError:
        raise
    except (IndexError, ValueError, struct.error) as error:
        raise FormatError("a malformed answer") from error


def is_plain(name: str) -> bool:
    """Whether Record.owner spells a name as it is: lower case, and nothing in it that must be escaped."""
    return name.isascii() and not name.encode().translate(None, _PLAIN)


def _read(wire: bytes, question: bytes, name: str | None, exact: bool) -> Response:
    identifier, flags, asked, answers, authorities = _COUNTS.unpack_from(wire)
    rcode = flags & 15
    # RFC 5452 §4.3: the identifier; a response to a standard query.
    if identifier != question[0] << 8 | question[1] or flags & 0xF800 != 0x8000:
        raise FormatError("not a response to this question")
    if asked == 0 and rcode in _ERRORS:  # a server that could not even read it need not repeat it
        return Response("", rcode)
    end = len(question) - (len(_OPT) if question[11] else 0)
    # RFC 5452 §4.2: it must repeat the question.
    if asked != 1 or wire[12:end] != question[12:end]:
        # No other octet here is a letter's: lengths are below 64, types and classes too.
        if asked != 1 or wire[12:end].lower() != question[12:end].lower():
            raise FormatError("an answer to another question")
        if exact:
            raise OtherCase("an answer that does not keep the case")
    if name is None:
        name, _ = _name(wire, 12)
    if flags & 0x0200:
        return Response(name, rcode, truncated=True)
    answer, end = _records(wire, end, min(answers, MAX_RECORDS), name)
    authority: Sequence[Record] = ()
    if authorities and answers <= MAX_RECORDS:  # else the next section begins where we do not look
        authority, _ = _records(wire, end, min(authorities, MAX_RECORDS), name)
    return Response(name, rcode, False, answer, authority)


def _records(wire: bytes, at: int, count: int, name: str) -> tuple[list[Record], int]:
    records = []
    for _ in range(count):
        if wire.startswith(_TO_QUESTION, at):  # most owners are the question's name
            owner, at = name, at + 2
        else:
            owner, at = _name(wire, at)
        code, class_, ttl, length = _RECORD.unpack_from(wire, at)
        at += 10
        end = at + length
        if end > len(wire):
            raise FormatError("a record that ends after the message")
        read = _VALUES.get(code)
        if read is not None and class_ == 1:
            # RFC 2181 §8: a TTL with the highest bit set is 0.
            records.append(Record(owner, code, ttl if ttl < 2**31 else 0, read(wire, at, end)))
        at = end
    return records, at


def _name(wire: bytes, at: int) -> tuple[str, int]:
    """The name at an offset, as text, and the offset after it."""
    labels: list[bytes] = []
    octets, after, floor, pointers = 1, 0, at, 0
    while length := wire[at]:
        if length >= 0xC0:
            after = after or at + 2
            at = (length & 0x3F) << 8 | wire[at + 1]
            pointers += 1
            if at >= floor or pointers > _MAX_POINTERS:  # RFC 1035 §4.1.4: a prior occurrence; so it ends
                raise FormatError("a compression pointer that does not point back, or one too many")
            floor = at
            continue
        octets += length + 1
        if length > 63 or octets > 255 or at + length >= len(wire):
            raise FormatError("a malformed name")
        labels.append(wire[at + 1 : at + 1 + length])
        at += 1 + length
    return _text(labels), after or at + 1


def _text(labels: list[bytes]) -> str:
    text = b".".join(labels).lower()
    if not text.translate(None, _PLAIN) and text.count(b".") == max(len(labels) - 1, 0):
        return text.decode("ascii")
    return ".".join("".join(map(_escaped, label.lower())) for label in labels)


def _escaped(octet: int) -> str:
    # RFC 1035 §5.1
    if octet in _SPECIAL:
        return "\\" + chr(octet)
    return chr(octet) if 32 < octet < 127 else f"\\{octet:03d}"


def _host(wire: bytes, at: int, end: int) -> str:
    name, after = _name(wire, at)
    if after != end:
        raise FormatError("a name that does not fill its record")
    return name


def _mx(wire: bytes, at: int, end: int) -> Mx:
    return Mx(int.from_bytes(wire[at : at + 2], "big"), _host(wire, at + 2, end))


def _soa(wire: bytes, at: int, end: int) -> Soa:
    host, at = _name(wire, at)
    _, at = _name(wire, at)
    if at + 20 != end:
        raise FormatError("a malformed SOA")
    return Soa(host, int.from_bytes(wire[end - 4 : end], "big"))


def _txt(wire: bytes, at: int, end: int) -> bytes:
    strings = []
    while at < end:
        after = at + 1 + wire[at]
        if after > end:
            raise FormatError("a string that ends after its record")
        strings.append(wire[at + 1 : after])
        at = after
    return b"".join(strings)


_VALUES: dict[int, Callable[[bytes, int, int], Any]] = {
    CODES["A"]: lambda wire, at, end: ipaddress.IPv4Address(wire[at:end]),
    CODES["AAAA"]: lambda wire, at, end: ipaddress.IPv6Address(wire[at:end]),
    CODES["MX"]: _mx,
    CODES["TXT"]: _txt,
    CODES["SOA"]: _soa,
    CODES["NS"]: _host,
    CODES["CNAME"]: _host,
    CODES["PTR"]: _host,
}
