"""The PROXY header: every form of it, cut at every octet, and everything that is none."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.smtp.crc32c import crc32c
from smtpgate.smtp.proxy_protocol import LONGEST_HEADER, ProxyError, ProxyHeader, parse_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(command: int, family: int, block: bytes = b"", length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block) if length is None else length) + block


def addresses(source: str, destination: str, port: int = 4711) -> bytes:
    packed = [ipaddress.ip_address(address).packed for address in (source, destination)]
    return b"".join(packed) + struct.pack("!HH", port, 25)


V4 = addresses("192.0.2.7", "198.51.100.1")
V6 = addresses("2001:db8::7", "2001:db8::1")


def checked(header: bytes, *, off_by: int = 0) -> bytes:
    """The header with a checksum in its last place."""
    length = int.from_bytes(header[14:16]) + 7
    whole = header[:14] + struct.pack("!H", length) + header[16:] + b"\x03\x00\x04"
    return whole + struct.pack("!I", crc32c(whole + bytes(4)) + off_by)


LONGEST = b":".join([b"ffff"] * 8)
TLVS = b"\x04\x00\x03abc" + b"\x20\x00\x05\x01\0\0\0\0"
RIGHT = {
    "v1 IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", "192.0.2.7"),
    "v1 IPv6": (b"PROXY TCP6 2001:DB8::7 2001:db8::1 4711 25\r\n", "2001:db8::7"),
    "v1 IPv4 in IPv6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 25\r\n", "192.0.2.7"),
    "v1 longest IPv6": (b"PROXY TCP6 %b %b 4711 65535\r\n" % (LONGEST, LONGEST), LONGEST.decode()),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with more": (b"PROXY UNKNOWN anything \xff goes\r\n", None),
    "v1 unknown, as long as can be": (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
    "v2 IPv4": (binary(0x21, 0x11, V4), "192.0.2.7"),
    "v2 IPv6": (binary(0x21, 0x21, V6), "2001:db8::7"),
    "v2 IPv4 in IPv6": (binary(0x21, 0x21, addresses("::ffff:192.0.2.7", "::1")), "192.0.2.7"),
    "v2 with more": (binary(0x21, 0x11, V4 + TLVS), "192.0.2.7"),
    "v2 as long as can be": (binary(0x21, 0x11, V4 + bytes(LONGEST_HEADER - 16 - 12)), "192.0.2.7"),
    "v2 with a checksum": (checked(binary(0x21, 0x11, V4)), "192.0.2.7"),
    "v2 with a checksum behind others": (checked(binary(0x21, 0x21, V6 + TLVS)), "2001:db8::7"),
    "v2 LOCAL with a checksum": (checked(binary(0x20, 0x00)), None),
    "v2 LOCAL": (binary(0x20, 0x00), None),
    "v2 LOCAL with addresses": (binary(0x20, 0x11, V4), None),
    "v2 LOCAL of a family that nobody knows": (binary(0x20, 0xFF, b"x"), None),
    "v2 unspecified": (binary(0x21, 0x00, TLVS), None),
    "v2 UDP": (binary(0x21, 0x12, V4), None),
    "v2 Unix": (binary(0x21, 0x31, bytes(216)), None),
}  # fmt: skip
WRONG = {
    "v2 wrong checksum": checked(binary(0x21, 0x11, V4), off_by=1),
    "v2 checksum of an address that was changed": checked(binary(0x21, 0x11, V4)).replace(
        b"\xc0\0\2\x07", b"\xc0\0\2\x08"
    ),
    "v2 two checksums": checked(checked(binary(0x21, 0x11, V4))),
    "v2 checksum of three octets": binary(0x21, 0x11, V4 + b"\x03\x00\x03abc"),
    "v2 too short for what it adds": binary(0x21, 0x11, V4 + b"\x04\x00\x04abc"),
    "v2 half an addition": binary(0x21, 0x11, V4 + b"\x04\x00"),
    "SMTP": b"EHLO client.example.net\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "v1 lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
    "v1 no protocol": b"PROXY \r\n",
    "v1 no blank": b"PROXYTCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
    "v1 two blanks": b"PROXY  TCP4 192.0.2.7 198.51.100.1 4711 25\r\n",
    "v1 blank at the end": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 \r\n",
    "v1 UDP": b"PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n",
    "v1 word behind UNKNOWN": b"PROXY UNKNOWNS\r\n",
    "v1 other family": b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n",
    "v1 mixed families": b"PROXY TCP4 192.0.2.7 2001:db8::1 4711 25\r\n",
    "v1 IPv4 as IPv6": b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 25\r\n",
    "v1 heading zero": b"PROXY TCP4 192.0.02.7 198.51.100.1 4711 25\r\n",
    "v1 address out of range": b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 25\r\n",
    "v1 scope": b"PROXY TCP6 fe80::1%eth0 2001:db8::1 4711 25\r\n",
    "v1 port out of range": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
    "v1 destination port out of range": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n",
    "v1 port with heading zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 25\r\n",
    "v1 port with sign": b"PROXY TCP4 192.0.2.7 198.51.100.1 +4711 25\r\n",
    "v1 port missing": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
    "v1 LF alone": b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\n" + b"x" * 70,
    "v1 LF inside": b"PROXY UNKNOWN a\nb\r\n",
    "v1 too long": b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    "v2 signature": SIGNATURE[:-1] + b"\r" + binary(0x21, 0x11, V4)[12:],
    "v2 version 1": binary(0x11, 0x11, V4),
    "v2 version 3": binary(0x31, 0x11, V4),
    "v2 command": binary(0x22, 0x11, V4),
    "v2 family": binary(0x21, 0x41, bytes(300)),
    "v2 protocol": binary(0x21, 0x13, V4),
    "v2 too short for IPv4": binary(0x21, 0x11, V4[:-1]),
    "v2 too short for IPv6": binary(0x21, 0x21, V4),
    "v2 too short for Unix": binary(0x21, 0x31, V6),
    "v2 too long": binary(0x21, 0x11, length=LONGEST_HEADER - 16 + 1),
    "v2 far too long": binary(0x20, 0x00, length=65535),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("rest", [b"", b"EHLO client.example.net\r\n", SIGNATURE])
def test_right(name: str, rest: bytes) -> None:
    data, address = RIGHT[name]
    client = None if address is None else (ipaddress.ip_address(address), 4711)
    assert parse_header(data + rest) == ProxyHeader(len(data), int(name[1]), client)


@pytest.mark.parametrize("name", RIGHT)
def test_right_but_not_complete(name: str) -> None:
    data, _ = RIGHT[name]
    assert [parse_header(data[:cut]) for cut in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    with pytest.raises(ProxyError):
        parse_header(WRONG[name])


@given(st.builds(bytes.__add__, st.sampled_from([b"", SIGNATURE, b"PROXY "]), st.binary(max_size=300)))
def test_the_answer_does_not_depend_on_the_cuts(data: bytes) -> None:
    """Once there is an answer, what comes later does not change it; and there is one within the bound."""

    def answer(part: bytes) -> object:
        try:
            return parse_header(part)
        except ProxyError as error:
            return str(error)

    answers = [answer(data[:cut]) for cut in range(len(data) + 1)]
    decided = [given for given in answers if given is not None]
    assert decided == [decided[0]] * len(decided) if decided else True
    assert answer(data + bytes(LONGEST_HEADER)) is not None


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720 B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_crc32c(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum
