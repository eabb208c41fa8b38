"""DNS messages (RFC 1035 §4) as octets: one question out, the records of one answer in.

Strangers choose what stands in an answer. A general decoder can be made to spend seconds on a single one of 64 KiB
(thousands of records, each with a compressed name of a hundred labels), on the event loop. This one reads the types
that we ask for, and no more records than anybody needs.
"""

import ipaddress
import string
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from smtpgate.dns.resolver import Mx, RecordType

CODES: dict[RecordType, int] = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
}  # fmt: skip
QUESTION = 12  # octets of the header, before it
MAX_RECORDS = 100  # of a section; the excess is dropped, as Postfix does since 3.9
# Of one name, which has 127 labels at most; pointers to nothing but pointers could be thousands in a message.
_MAX_POINTERS = 127

_OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)  # EDNS: 1232 octets pass every path without fragments
_LENGTHS = {length: bytes((length,)) for length in range(1, 64)}
_LONGEST_NAME = 253  # RFC 1035 §3.1: 255 octets with the lengths of its labels
_CASE_BIT = bytes(0x20 if chr(octet) in string.ascii_letters else 0 for octet in range(256))
# Recursion is desired; one question, and with EDNS one additional record.
_HEADER, _HEADER_WITH_EDNS = (struct.pack("!5H", 0x0100, 1, 0, 0, additional) for additional in (0, 1))
_ENDS = {kind: b"\0" + struct.pack("!HH", code, 1) for kind, code in CODES.items()}
_RECORD = struct.Struct("!HHIH")
_TO_QUESTION = bytes((0xC0, QUESTION))  # a pointer to its name
_STRANGE = ord("\\")
# Of the octets of a name those that are spelt as they are, in lower case; instead of each other one a strange one.
_PLAIN = bytes(
    octet if chr(octet) in string.ascii_letters + string.digits + "_-." else _STRANGE for octet in range(256)
).lower()
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


def spell(name: str, kind: RecordType, mix: bytes) -> bytes:
    """A question for an absolute name, whose characters are all taken literally, as it stands in messages (§4.1.2).

    mix: at least one random octet more than the name has: they choose the case of its letters; or none. ValueError: no
    such name can exist.
    """
    spelt = b""
    try:
        if len(name) > _LONGEST_NAME:
            raise KeyError
        for label in name.encode("ascii").split(b"."):
            spelt += _LENGTHS[len(label)] + label
    except KeyError:
        raise ValueError(f"not a possible name: {name[:300]!r}") from None
    if mix:
        # draft-vixie-dnsext-dns0x20; the length of a label is below 64, where no letter is.
        flips = int.from_bytes(spelt.translate(_CASE_BIT)) & int.from_bytes(mix)
        spelt = (int.from_bytes(spelt) ^ flips).to_bytes(len(spelt))
    return spelt + _ENDS[kind]


def write_query(identifier: bytes, spelt: bytes, edns: bool) -> bytes:
    """A message that asks a question, recursively. identifier: two octets. spelt: see spell()."""
    return identifier + (_HEADER_WITH_EDNS + spelt + _OPT if edns else _HEADER + spelt)


def read_records(wire: bytes, at: int, count: int, name: str, asked: int) -> tuple[list[Record], int]:
    """The records of a type, and aliases; and the offset after all of them. name: the question's.

    IndexError, ValueError, struct.error: they are malformed.
    """
    records, spelt, read = [], None, (asked, _CNAME)
    for _ in range(count):
        if wire.startswith(_TO_QUESTION, at):  # most owners are the question's name
            owner, at = name, at + 2
        else:
            owner, at = _name(wire, at)
            if spelt is None:
                spelt, _ = _name(wire, QUESTION)
            if owner == spelt:
                owner = name
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


def read_authority(wire: bytes, at: int, count: int) -> dict[int, int]:
    """The smallest TTL of each type; of a SOA also its last field: how long a name does not exist (RFC 2308 §5).

    Whose records they are, and what they say, nobody asks: no name has to be read. Errors: those of read_records().
    """
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
        if length < 64:
            at += 1
            labels.append(wire[at : at + length])
            at += length
            octets += length + 1
            if octets > 255:
                raise FormatError(_MALFORMED_NAME)
        elif length >= 0xC0:
            after = after or at + 2
            at = (length & 0x3F) << 8 | wire[at + 1]
            pointers += 1
            if at >= floor or pointers > _MAX_POINTERS:  # RFC 1035 §4.1.4: a prior occurrence; so it ends
                raise FormatError("a compression pointer that does not point back, or one too many")
            floor = at
        else:
            raise FormatError(_MALFORMED_NAME)
    return _text(labels), after or at + 1


def _text(labels: list[bytes]) -> str:
    text = b".".join(labels).translate(_PLAIN)
    # An octet is found at once; octets would raise an exception in Python 3.11 first.
    if _STRANGE not in text and (text.count(b".") < len(labels) or not labels):
        return text.decode()
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
