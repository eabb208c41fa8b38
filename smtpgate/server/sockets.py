"""The listening sockets: bound once, before any worker is there, and inherited by all of them.

They stay open while workers come and go, so that a client never finds the door shut: whoever connects meanwhile waits
in the kernel's queue for the next worker.
"""

import errno
import logging
import socket
from collections.abc import Collection, Iterable, Mapping

from smtpgate.values import Endpoint

log = logging.getLogger(__name__)

BACKLOG = 1024
# What to do about it.
_HINTS = {
    errno.EACCES: ": for a port below 1024 start it as root, with [server] user, or by systemd; a running"
    " server that is not root must be restarted",
    errno.EADDRINUSE: ": `ss -ltnp` tells who listens there",
    errno.EADDRNOTAVAIL: ": this host has no such address; `ip address` lists those that it has",
}


class ListenError(Exception):
    """An address cannot be listened on; the text says which and why."""


class ListeningSockets:
    """One socket for each address. adopted: those that systemd opened; it keeps them, and so do we."""

    def __init__(self, adopted: Mapping[Endpoint, socket.socket] | None = None) -> None:
        self._adopted = dict(adopted or {})
        self._open = dict(self._adopted)

    def open(self, wanted: Iterable[Endpoint]) -> dict[Endpoint, socket.socket]:
        """The sockets of these addresses; what is missing is bound. Raises ListenError, and then nothing is new."""
        found: dict[Endpoint, socket.socket] = {}
        new: list[Endpoint] = []
        try:
            for endpoint in wanted:
                if endpoint not in self._open:
                    self._open[endpoint] = _bind(endpoint)
                    new.append(endpoint)
                found[endpoint] = self._open[endpoint]
        except ListenError:
            for endpoint in new:
                self._open.pop(endpoint).close()
            raise
        return found

    def close_all_but(self, wanted: Collection[Endpoint]) -> None:
        """Stop listening on all other addresses, except on adopted ones."""
        for endpoint in set(self._open) - set(wanted) - set(self._adopted):
            self._open.pop(endpoint).close()

    def inherit(self, wanted: Collection[Endpoint]) -> dict[Endpoint, socket.socket]:
        """In a worker: the sockets that it serves. The others are closed: a queue that nobody serves must not be."""
        for endpoint in set(self._open) - set(wanted):
            self._open.pop(endpoint).close()
        return dict(self._open)

    def close(self) -> None:
        """Stop listening."""
        for opened in self._open.values():
            opened.close()
        self._open.clear()


def _bind(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier run, on their way out, do not keep the port.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((endpoint.host, endpoint.port))
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        hint = _HINTS.get(error.errno or 0, "")
        raise ListenError(f"cannot listen on {endpoint}: {error.strerror or error}{hint}") from error
    return opened
