"""DNS messages (RFC 1035 §4): one question out, one answer in.

Strangers choose what stands in an answer. A general decoder can be made to spend seconds on a single one of 64 KiB
(thousands of records, each with a compressed name of a hundred labels), on the event loop. This one reads the types
that we ask for, and no more records than anybody needs.
"""

import ipaddress
import string
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from smtpgate.dns.resolver import Mx, RecordType

CODES: dict[RecordType, int] = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
}  # fmt: skip
MAX_RECORDS = 100  # of a section; the excess is dropped, as Postfix does since 3.9
# Of one name, which has 127 labels at most; pointers to nothing but pointers could be thousands in a message.
_MAX_POINTERS = 127

_OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)  # EDNS: 1232 octets pass every path without fragments
_LENGTHS = {length: chr(length) for length in range(1, 64)}
_CASE_BIT = bytes(0x20 if chr(octet) in string.ascii_letters else 0 for octet in range(256))
# Recursion is desired; one question, and with EDNS one additional record.
_HEADERS = {edns: struct.pack("!5H", 0x0100, 1, 0, 0, int(edns)) for edns in (False, True)}
_ENDS = {
    (kind, edns): b"\0" + struct.pack("!HH", code, 1) + (_OPT if edns else b"")
    for kind, code in CODES.items()
    for edns in (False, True)
}
_COUNTS = struct.Struct("!4H")
_RECORD = struct.Struct("!HHIH")
_TO_QUESTION = b"\xc0\x0c"  # a pointer to where the question's name stands
_ERRORS = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}
_PLAIN = (string.ascii_lowercase + string.digits + "_-.").encode()
_SPECIAL = b'"().;\\@$'
_TOO_LONG = "a record that ends after the message"
_MALFORMED_NAME = "a malformed name"
_MALFORMED_SOA = "a malformed SOA"
_SHORTEST_SOA = 22  # octets: two names, and five numbers
_CNAME, _SOA = CODES["CNAME"], CODES["SOA"]


class FormatError(ValueError):
    """Not a well-formed answer to the question."""


# The owner, the type, the TTL, and the value: see Answer.
Record = tuple[str, int, int, Any]


class Response(NamedTuple):
    """What a server answered.

    rcode: RFC 1035 §4.1.1. other_case: it repeats the question with letters in another case. name: the question's, as
    it is spelled in records. records: those of the type that was asked for, and aliases. authority: the smallest TTL of
    each type in that section; of a SOA also its last field, which is how long a name does not exist (RFC 2308 §5).
    """

    rcode: int
    other_case: bool = False
    truncated: bool = False
    name: str = ""
    records: Sequence[Record] = ()
    authority: Mapping[int, int] = {}

    @property
    def error(self) -> str:
        """The word for an rcode that is neither NOERROR nor NXDOMAIN, "" for these two."""
        return "" if self.rcode in (0, 3) else _ERRORS.get(self.rcode, f"RCODE {self.rcode}")


def write_question(identifier: bytes, name: str, kind: RecordType, mix: bytes, edns: bool) -> bytes:
    """A recursive question for an absolute name, whose characters are all taken literally.

    identifier: two octets. mix: at least one random octet more than the name has: they choose the case of its letters;
    or none. ValueError: no such name can exist.
    """
    try:
        spelt = "".join([_LENGTHS[len(label)] + label for label in name.split(".")]).encode("ascii")
    except KeyError:
        raise ValueError(f"not a possible name: {name[:300]!r}") from None
    if len(spelt) > 254:
        raise ValueError(f"not a possible name: {name[:300]!r}")
    if mix:
        # draft-vixie-dnsext-dns0x20; the length of a label is below 64, where no letter is.
        flips = int.from_bytes(spelt.translate(_CASE_BIT)) & int.from_bytes(mix)
        spelt = (int.from_bytes(spelt) ^ flips).to_bytes(len(spelt))
    return b"".join((identifier, _HEADERS[edns], spelt, _ENDS[kind, edns]))


def read_answer(wire: bytes, question: bytes, name: str, kind: RecordType) -> Response:
    """Read a packet.

    question: as it was sent; name, kind: what it asks. FormatError: the packet is malformed, or not the answer to it.
    """
    try:
        flags, asked, answers, authorities = _COUNTS.unpack_from(wire, 2)
        rcode = flags & 15
        # RFC 5452 §4.3: the identifier; a response to a standard query.
        if not wire.startswith(question[:2]) or flags & 0xF800 != 0x8000:
            raise FormatError("not a response to this question")
        if asked == 0 and rcode in _ERRORS:  # a server that could not even read it need not repeat it
            return Response(rcode)
        # RFC 5452 §4.2: it must repeat the question.
        end = len(question) - (len(_OPT) if question[11] else 0)
        other_case = not wire.startswith(question[12:end], 12)
        # No other octet here is a letter's: lengths are below 64, types and classes too.
        if asked != 1 or (other_case and wire[12:end].lower() != question[12:end].lower()):
            raise FormatError("an answer to another question")
        if flags & 0x0200:
            return Response(rcode, other_case, truncated=True)
        records: Sequence[Record] = ()
        if answers:
            if name.encode().translate(None, _PLAIN):  # what is plain is spelt as it is
                name, _ = _name(wire, 12)
            records, end = _records(wire, end, min(answers, MAX_RECORDS), name, CODES[kind])
        if authorities and answers <= MAX_RECORDS:  # else the next section begins where we do not look
            authority = _authority(wire, end, min(authorities, MAX_RECORDS))
            return Response(rcode, other_case, False, name, records, authority)
        return Response(rcode, other_case, False, name, records)
    except FormatError:
        raise
    except (IndexError, ValueError, struct.error) as error:
        raise FormatError("a malformed answer") from error


def _records(wire: bytes, at: int, count: int, name: str, asked: int) -> tuple[list[Record], int]:
    """The records of a type, and aliases; and the offset after all of them. name: the question's."""
    records, read = [], (asked, _CNAME)
    for _ in range(count):
        if wire.startswith(_TO_QUESTION, at):  # most owners are the question's name
            owner, at = name, at + 2
        else:
            owner, at = _name(wire, at)
        code, class_, ttl, length = _RECORD.unpack_from(wire, at)
        at += 10
        end = at + length
        if end > len(wire):
            raise FormatError(_TOO_LONG)
        if class_ == 1 and code in read:
            # RFC 2181 §8: a TTL with the highest bit set is 0.
            records.append((owner, code, ttl if ttl < 2**31 else 0, _VALUES[code](wire, at, end)))
        at = end
    return records, at


def _authority(wire: bytes, at: int, count: int) -> dict[int, int]:
    """See Response.authority. Whose records they are, and what they say, nobody asks: no name has to be read."""
    found: dict[int, int] = {}
    for _ in range(count):
        at = _after_name(wire, at)
        code, class_, ttl, length = _RECORD.unpack_from(wire, at)
        at += 10 + length
        if at > len(wire):
            raise FormatError(_TOO_LONG)
        if class_ != 1:
            continue
        if ttl >= 2**31:  # RFC 2181 §8
            ttl = 0
        if code == _SOA:
            if length < _SHORTEST_SOA:
                raise FormatError(_MALFORMED_SOA)
            ttl = min(ttl, int.from_bytes(wire[at - 4 : at]))
        found[code] = min(ttl, found.get(code, ttl))
    return found


def _after_name(wire: bytes, at: int) -> int:
    """The offset after a name."""
    while length := wire[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise FormatError(_MALFORMED_NAME)
        at += length + 1
    return at + 1


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
            raise FormatError(_MALFORMED_NAME)
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


def _soa(wire: bytes, at: int, end: int) -> str:
    host, at = _name(wire, at)
    if _after_name(wire, at) + 20 != end:
        raise FormatError(_MALFORMED_SOA)
    return host


def _txt(wire: bytes, at: int, end: int) -> bytes:
    strings = []
    while at < end:
        after = at + 1 + wire[at]
        if after > end:
            raise FormatError("a string that ends after its record")
        strings.append(wire[at + 1 : after])
        at = after
    return b"".join(strings)


_ipv4 = lru_cache(maxsize=256)(ipaddress.IPv4Address)  # block lists say the same few again and again
_VALUES: dict[int, Callable[[bytes, int, int], Any]] = {
    CODES["A"]: lambda wire, at, end: _ipv4(wire[at:end]),
    CODES["AAAA"]: lambda wire, at, end: ipaddress.IPv6Address(wire[at:end]),
    CODES["MX"]: _mx,
    CODES["TXT"]: _txt,
    CODES["SOA"]: _soa,
    CODES["NS"]: _host,
    CODES["CNAME"]: _host,
    CODES["PTR"]: _host,
}
