"""How many files, and so how many sessions, a process may open; and word in the log when no more can be opened."""

import errno
import logging
import os
import resource
from collections.abc import Callable

from smtpgate.checks.policy import PolicyOptions
from smtpgate.config.settings import Settings
from smtpgate.phases.named_rules import named_by_tables
from smtpgate.relay.pool import PoolLimits

log = logging.getLogger(__name__)

# The store, what threads read and write for a moment, and what Python itself opens.
_OTHERS = 64
# The client, a downstream, the file of a large message.
_PER_SESSION = 3
# Seconds: lines about it must not fill the log.
_NOT_AGAIN_WITHIN = 600.0


def raise_descriptor_limit() -> int:
    """Raise the soft limit, which is 1024 on most systems, to the hard one; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # an unlimited hard limit may be more than the kernel has
        return soft
    return hard


def other_files(settings: Settings, dns_sockets: int) -> int:
    """How many a process may have open beside those of its sessions, if all goes wrong at one time.

    dns_sockets: StubResolver.most_sockets.
    """
    options = [rule.options for rule in (*settings.rules, *named_by_tables(settings.rules))]
    services = {(one.service, one.limits) for one in options if isinstance(one, PolicyOptions)}
    servers = sum(len(relay.url) for relay in (settings.relay, *settings.routes))
    return (
        _OTHERS
        + len(settings.listeners)
        + dns_sockets
        + settings.verification.callouts
        + sum(limits.connections for _, limits in services)
        + servers * PoolLimits().idle
    )


def sessions_within(limit: int, others: int, wanted: int) -> int:
    """How many sessions a process may have that may open `limit` files, of which it needs `others` for other things."""
    most = max(1, (limit - others) // _PER_SESSION)
    if most < wanted:
        log.warning("a process may open %d files: %d sessions in place of %d ([limits] sessions)", limit, most, wanted)
    return min(most, wanted)


def is_short_of_files() -> bool:
    """Whether no file can be opened: the event loop then closes new connections without a word."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


class FileNews:
    """Tells the administrator when files run out, and when there are some again. clock: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told = False
        self._not_before = float("-inf")

    def hear(self, is_short: bool) -> None:
        """Whether any worker is short of files."""
        if is_short and not self._told and self._clock() >= self._not_before:
            log.error("no more files can be opened: new clients are turned away (LimitNOFILE; sysctl fs.file-max)")
            self._told, self._not_before = True, self._clock() + _NOT_AGAIN_WITHIN
        elif self._told and not is_short:
            log.warning("files can be opened again")
            self._told = False
