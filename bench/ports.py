"""Ports for servers that a measurement or a test starts: no two programs are ever given the same one."""

import itertools
import socket
from collections.abc import Iterator
from functools import cache

# Below 32,768, from where Linux takes the ports of outgoing connections: a port of those that is free now may be some
# client's before its server listens.
_FIRST = 10_000
_END = 32_000
_PER_PROCESS = 500


def free_port() -> int:
    """A port on 127.0.0.1 on which nobody listens, and which is given to nobody else while this process lives."""
    return next(port for port in _own_ports() if _is_free(port))


@cache
def _own_ports() -> Iterator[int]:
    """The ports of a range that this process alone gives away, over and over."""
    for first in range(_FIRST, _END, _PER_PROCESS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0smtpgate-ports-{first}")
        except OSError:
            claim.close()
            continue
        # An abstract name is held by the open descriptor, and is free again when the process has ended, however it did.
        claim.detach()
        return itertools.cycle(range(first, first + _PER_PROCESS))
    raise RuntimeError("all ports for tests and measurements are in use by others")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: connections that have ended do not stand in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
