"""Values as an administrator writes them: durations, sizes, networks, host names.

Every parser takes what stood in the configuration and returns the typed value, or raises ValueError whose text
says what was expected. It is shared by the settings and by the options of checks.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Parser = Callable[[Any], Any]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_UNITS = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


def duration(value: Any) -> float:
    """A duration such as "5m", in seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a duration such as "30s", "5m", "2h" or "35d"')
    return float(match[1]) * _DURATION_UNITS[match[2]]


def size(value: Any) -> int:
    """A size such as "25MiB", in bytes."""
    match = re.fullmatch(r"(\d{1,12})(B|kB|KiB|MB|MiB|GB|GiB)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a size such as "512KiB" or "25MiB"')
    return int(match[1]) * _SIZE_UNITS[match[2]]


def network(value: Any) -> Network:
    """An IPv4 or IPv6 network in CIDR form; a bare address is a network of one."""
    try:
        if not isinstance(value, str):
            raise TypeError
        return ipaddress.ip_network(value)
    except (TypeError, ValueError):
        raise ValueError('a network such as "192.0.2.0/24" or "2001:db8::/32", without host bits') from None


def host_name(value: Any) -> str:
    """A host or domain name, lower case, without the final dot."""
    name = value.removesuffix(".").lower() if isinstance(value, str) else ""
    if not is_host_name(name):
        raise ValueError('a host or domain name such as "mx.example.org"')
    return name


def is_host_name(name: str) -> bool:
    """Whether every label of an ASCII name has a legal length and legal characters (RFC 1123 §2.1, and "_")."""
    return 0 < len(name) <= 253 and all(_LABEL.match(label) for label in name.split("."))


def boolean(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def count(value: Any) -> int:
    """A whole number above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number above zero")
    return value


def choice(*words: str) -> Callable[[Any], str]:
    """A parser that takes one of the given words."""

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError("one of " + ", ".join(f'"{word}"' for word in words))
        return str(value)

    return parse
