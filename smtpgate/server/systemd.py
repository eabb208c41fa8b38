"""systemd's side of things: sockets that it opened for us, and what it wants to hear (sd_listen_fds(3), sd_notify(3)).

Without systemd the environment names nothing, and nothing here does anything.
"""

import logging
import os
import socket
from collections.abc import MutableMapping

from smtpgate.values import Endpoint

log = logging.getLogger(__name__)

_FIRST_FD = 3


def passed_sockets(environ: MutableMapping[str, str], first: int = _FIRST_FD) -> dict[Endpoint, socket.socket]:
    """The sockets that were passed to this process, by address. What says so is taken out of the environment.

    first: the number of the first file descriptor.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[Endpoint, socket.socket] = {}
    for fd in range(first, first + int(count)):
        try:
            passed = socket.socket(fileno=fd)
        except OSError as error:
            log.warning("file descriptor %d that systemd passed is no socket: %s", fd, error.strerror)
            continue
        passed.set_inheritable(False)
        passed.setblocking(False)
        name = passed.getsockname()
        if passed.family in (socket.AF_INET, socket.AF_INET6) and passed.type == socket.SOCK_STREAM:
            found[Endpoint(*name[:2])] = passed
        else:
            log.warning("systemd passed %s, which is no TCP socket", name or f"file descriptor {fd}")
            passed.close()
    return found


class Notifier:
    """Tells systemd how we are. address: of its socket, "" if it does not listen."""

    def __init__(self, address: str) -> None:
        # A name that begins with @ is in the abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *assignments: str) -> None:
        """Send assignments such as "READY=1". It must never hold us up."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", assignments[0], error.strerror)


def watchdog_interval(environ: MutableMapping[str, str]) -> float | None:
    """How often systemd wants a sign of life, in seconds: twice in its time limit. None: never."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if meant and microseconds.isdecimal() and int(microseconds) > 0 else None
