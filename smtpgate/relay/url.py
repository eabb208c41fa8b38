"""The downstream's address as an administrator writes it."""

import ipaddress
from dataclasses import dataclass
from typing import Any, Literal

from smtpgate.values import is_host_name

Scheme = Literal["smtp", "smtps", "lmtp", "lmtp+unix", "maildir"]

_EXPECTED = (
    'a downstream such as "smtp://127.0.0.1:10025", "lmtp://host:24", "lmtp+unix:/run/lmtp" or "maildir:var/mail"'
)
# RFC 5321 §4.5.4.2 and RFC 2033 §5: LMTP has no port of its own and must not use 25; 24 is custom.
# 465: submissions (RFC 8314 §7.3), which is what servers with TLS from the first byte listen on.
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}


@dataclass(frozen=True, slots=True)
class DownstreamUrl:
    """Where accepted mail goes. host and port: for "smtp", "smtps", "lmtp". path: for "lmtp+unix" and "maildir"."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_lmtp(self) -> bool:
        """Whether LMTP is spoken there."""
        return self.scheme in ("lmtp", "lmtp+unix")

    @property
    def is_local(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        return bool(self.path) or self.host == "localhost" or _is_loopback(self.host)

    def __str__(self) -> str:
        if self.path:
            return f"{self.scheme}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(value: Any) -> DownstreamUrl:
    """A downstream URL; an IPv6 address stands in brackets. Raises ValueError saying what was expected."""
    scheme, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    match scheme:
        case "smtp" | "smtps" | "lmtp" if rest.startswith("//"):
            host, port = _host_and_port(rest[2:], _DEFAULT_PORTS[scheme])
            return DownstreamUrl(scheme, host=host, port=port)
        case "lmtp+unix" if rest.startswith("/") and "\0" not in rest:
            return DownstreamUrl(scheme, path=rest)
        case "maildir" if rest and not rest.startswith("//") and "\0" not in rest:
            return DownstreamUrl(scheme, path=rest)
    raise ValueError(_EXPECTED)


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        valid = bool(bracket) and _is_ipv6(host) and (not port or port.startswith(":"))
        port = port[1:] if port else str(default_port)
    else:
        host, colon, port = text.partition(":")
        valid = is_host_name(host)
        port = port if colon else str(default_port)
    if not valid or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise ValueError(_EXPECTED)
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
