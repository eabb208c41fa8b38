"""What was found out about addresses, so that a restart does not ask the world again."""

from typing import Literal, NamedTuple, Protocol

Kind = Literal["sender", "recipient"]


class Verified(NamedTuple):
    """Whether mail for an address is taken where it goes. reason: what was said there. at: when, seconds since 1970."""

    deliverable: bool
    reason: str
    at: float


class VerifiedAddresses(Protocol):
    """Remembers addresses over restarts, shared by all processes of one store. Both raise StoreError."""

    async def verified(self, kind: Kind, address: str) -> Verified | None:
        """What is known of an address, however old."""
        ...

    async def remember_verified(self, kind: Kind, address: str, known: Verified, expires: float) -> None:
        """Note what was found out; it may be deleted from `expires` on, seconds since 1970."""
        ...
