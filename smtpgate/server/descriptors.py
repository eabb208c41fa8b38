"""How many files, and so how many sessions, this process may open."""

import resource


def raise_descriptor_limit() -> int:
    """Raise the soft limit, which is 1024 on most systems, to the hard one; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # an unlimited hard limit may be more than the kernel has
            return soft
    return hard
