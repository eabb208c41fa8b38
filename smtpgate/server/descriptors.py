"""How many files, and so how many sessions, a process may open."""

import logging
import resource

log = logging.getLogger(__name__)

# For the store, the downstream's pool, the DNS, and what Python itself opens.
_OTHERS = 64
# The client, a downstream, the file of a large message.
_PER_SESSION = 3


def raise_descriptor_limit() -> int:
    """Raise the soft limit, which is 1024 on most systems, to the hard one; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # an unlimited hard limit may be more than the kernel has
        return soft
    return hard


def sessions_within(limit: int, wanted: int) -> int:
    """How many sessions a process may have that may open `limit` files: each takes up to _PER_SESSION."""
    most = max(1, (limit - _OTHERS) // _PER_SESSION)
    if most < wanted:
        log.warning("a process may open %d files: %d sessions in place of %d ([limits] sessions)", limit, most, wanted)
    return min(most, wanted)
