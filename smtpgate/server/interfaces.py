"""The IP addresses of this machine, as Linux tells them."""

import ipaddress
import re
from pathlib import Path

from smtpgate.values import IPAddress

_LOCAL_IPV4 = re.compile(r"\|-- ([0-9.]+)\n +/32 host LOCAL")
_IPV6 = re.compile(r"^([0-9a-f]{32}) ", re.MULTILINE)


def own_addresses(proc: Path = Path("/proc/net")) -> frozenset[IPAddress]:
    """Every address of every interface; none if the kernel does not tell. proc: where it tells (proc(5))."""
    ipv4 = _LOCAL_IPV4.findall(_read(proc / "fib_trie"))
    ipv6 = _IPV6.findall(_read(proc / "if_inet6"))
    return frozenset((*map(ipaddress.ip_address, ipv4), *(ipaddress.IPv6Address(int(digits, 16)) for digits in ipv6)))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
