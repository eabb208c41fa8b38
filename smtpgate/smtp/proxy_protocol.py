"""The header by which a proxy says whom it speaks for: haproxy's PROXY protocol, versions 1 and 2.

The sections are those of haproxy's doc/proxy-protocol.txt. Nothing here reads or waits: the parser is given what came
in so far. What cannot become a header any more is refused, without waiting for its end.
"""

import ipaddress
import re
from typing import NamedTuple

from smtpgate.smtp.crc32c import crc32c
from smtpgate.values import IPAddress, unmapped

# §2.1: with CRLF.
_LONGEST_LINE = 107
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]+) ([0-9]+))\Z")
_NAME = b"PROXY "
_PORT = re.compile(rb"(?:0|[1-9][0-9]{0,4})\Z")

# §2.2
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(_SIGNATURE) + 4
# Addresses take at most 216 octets; what proxies add about TLS stays far below this.
LONGEST_HEADER = 4096
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _IPV4, _IPV6, _UNIX = range(4)
_STREAM = 1
_ADDRESS_OCTETS = {_UNSPEC: 0, _IPV4: 12, _IPV6: 36, _UNIX: 216}
# §2.2.3
_CRC32C = 3


class ProxyError(Exception):
    """What came is no PROXY header; the text says why, for the record."""


class ProxyHeader(NamedTuple):
    """length: in octets; what follows is the client's. version: 1 or 2.

    client: its address and port; None if the proxy speaks for itself, or for somebody who has no IP address.
    """

    length: int
    version: int
    client: tuple[IPAddress, int] | None


def parse_header(data: bytes) -> ProxyHeader | None:
    """The header that the data begins with; None if it is not complete yet. Raises ProxyError."""
    if data.startswith(_SIGNATURE[: len(data)]):
        return _parse_binary(data) if len(data) >= len(_SIGNATURE) else None
    if data.startswith(_NAME[: len(data)]):
        return _parse_line(data)
    raise ProxyError("there is none")


def _parse_line(data: bytes) -> ProxyHeader | None:
    """§2.1."""
    end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(data) >= _LONGEST_LINE:
            raise ProxyError(f"no line end within {_LONGEST_LINE} octets")
        return None
    match = _LINE.match(data[:end])
    if match is None:
        raise ProxyError("version 1: syntax error")
    family, source, destination, *ports = match.groups()
    client = None
    if family:
        address = _address(family, source)
        _address(family, destination)
        port, _ = [_port(text) for text in ports]
        client = unmapped(address), port
    return ProxyHeader(end + 2, 1, client)


def _address(family: bytes, text: bytes) -> IPAddress:
    kind = ipaddress.IPv4Address if family == b"4" else ipaddress.IPv6Address
    try:
        return kind(text.decode())
    except ValueError:
        raise ProxyError(f"version 1: no IPv{family.decode()} address") from None


def _port(text: bytes) -> int:
    if not _PORT.match(text) or int(text) > 65535:
        raise ProxyError("version 1: no port")
    return int(text)


def _parse_binary(data: bytes) -> ProxyHeader | None:
    """§2.2."""
    fixed = data[len(_SIGNATURE) : _FIXED]
    if fixed and fixed[0] not in (_LOCAL, _PROXY):
        raise ProxyError(f"version and command 0x{fixed[0]:02x} are unknown")
    if len(data) < _FIXED:
        return None
    family, protocol = fixed[1] >> 4, fixed[1] & 15
    length = _FIXED + int.from_bytes(fixed[2:])
    if length > LONGEST_HEADER:
        raise ProxyError(f"version 2: {length} octets, more than {LONGEST_HEADER}")
    is_relayed = fixed[0] == _PROXY
    # The family of LOCAL is ignored, whatever it is.
    if is_relayed and (family > _UNIX or protocol > 2):
        raise ProxyError(f"version 2: family and protocol 0x{fixed[1]:02x} are unknown")
    if is_relayed and length < _FIXED + _ADDRESS_OCTETS[family]:
        raise ProxyError("version 2: too short for its addresses")
    if len(data) < length:
        return None
    if is_relayed:
        _check_additions(data[:length], _FIXED + _ADDRESS_OCTETS[family])
    client = None
    if is_relayed and protocol == _STREAM and family in (_IPV4, _IPV6):
        client = _binary_client(data[_FIXED:length], 4 if family == _IPV4 else 16)
    return ProxyHeader(length, 2, client)


def _check_additions(header: bytes, place: int) -> None:
    """What stands behind the addresses (§2.2.1): a checksum must be right, of the rest the form."""
    is_summed = False
    while place < len(header):
        start, kind = place + 3, header[place]
        end = start + int.from_bytes(header[place + 1 : start])
        if start > len(header) or end > len(header):
            raise ProxyError("version 2: too short for what it adds")
        if kind == _CRC32C:
            if is_summed:  # there can be only one; to compute hundreds would take long
                raise ProxyError("version 2: more than one checksum")
            is_summed = True
            # §2.2.3: computed with zeros in its own place.
            if header[start:end] != crc32c(header[:start] + bytes(4) + header[end:]).to_bytes(4):
                raise ProxyError("version 2: wrong checksum")
        place = end


def _binary_client(block: bytes, size: int) -> tuple[IPAddress, int]:
    """Source address, destination address, source port, destination port."""
    port = int.from_bytes(block[2 * size : 2 * size + 2])
    return unmapped(ipaddress.ip_address(block[:size])), port
