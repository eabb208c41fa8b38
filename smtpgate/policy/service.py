"""A policy service as an administrator writes it, and how it is talked to."""

import re
from dataclasses import dataclass
from typing import Any

from smtpgate.values import is_host_name, socket_path

_INET = re.compile(r"inet:(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_EXPECTED = 'a policy service such as "inet:127.0.0.1:10023" or "unix:/run/postgrey.sock"'


@dataclass(frozen=True, slots=True)
class PolicyService:
    """Where a service listens. path: of a Unix socket; host and port otherwise."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"inet:[{self.host}]:{self.port}" if ":" in self.host else f"inet:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PolicyLimits:
    """How a service is talked to. Times in seconds; the defaults are Postfix's.

    timeout: for one try, connection and answer together (smtpd_policy_service_timeout). tries, retry_delay: how often,
    and how long after a failure. idle, lifetime: how long a connection is kept without work, and in all. connections:
    how many questions of one process may be under way, as many as Postfix has processes.
    """

    timeout: float = 100.0
    tries: int = 2
    retry_delay: float = 1.0
    idle: float = 300.0
    lifetime: float = 1000.0
    connections: int = 100


def policy_service(value: Any) -> PolicyService:
    """A service as Postfix writes it: inet:host:port, unix:path. Raises ValueError saying what was expected."""
    if isinstance(value, str) and value.startswith("unix:"):
        try:
            return PolicyService(path=socket_path(value.removeprefix("unix:")))
        except ValueError:
            raise ValueError(_EXPECTED) from None
    match = _INET.fullmatch(value) if isinstance(value, str) else None
    if match is None or not (match["ipv6"] or is_host_name(match["host"])) or not 0 < int(match["port"]) < 65536:
        raise ValueError(_EXPECTED)
    return PolicyService(match["ipv6"] or match["host"], int(match["port"]))
