"""What the greylist remembers of one client network, sender and recipient."""

from typing import NamedTuple, Protocol


class Triplet(NamedTuple):
    """The key that greylisting remembers (Postgrey's): client network, sender, recipient, all lower case."""

    client: str
    sender: str
    recipient: str


class Seen(NamedTuple):
    """first: when this triplet was first seen, seconds since 1970. passes: how often it came back in time."""

    first: float
    passes: int


class Greylist(Protocol):
    """Remembers triplets over restarts, shared by all processes of one store."""

    async def greylist(self, triplet: Triplet, now: float, *, delay: float, window: float, lifetime: float) -> Seen:
        """Note one attempt and tell what is known, in one statement.

        A triplet that waited `delay` seconds passes; one that never passed is forgotten `window` seconds after it
        was first seen, one that did `lifetime` seconds after it was last seen. One that was first seen in the future,
        by a clock that was set back since, counts as first seen now. Raises StoreError.
        """
        ...


class StoreError(Exception):
    """The store cannot answer now: locked, full, deleted, away."""
