"""Parts of a store that remember as long as the test lasts."""

from collections.abc import Collection

from smtpgate.store.greylist import Seen, StoreError, Triplet
from smtpgate.store.verified import Kind, Verified


class FakeGreylist:
    """The Greylist protocol over a dict. broken: it raises StoreError. rows: triplet to (first, last, passes)."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.rows: dict[Triplet, tuple[float, float, int]] = {}

    async def greylist(self, triplet: Triplet, now: float, *, delay: float, window: float, lifetime: float) -> Seen:
        if self.broken:
            raise StoreError("locked")
        first, last, passes = self.rows.get(triplet, (now, now, 0))
        first = min(first, now)
        forgotten = now - last >= lifetime if passes else now - first >= window
        if forgotten:
            first, passes = now, 0
        if passes or now - first >= delay:
            passes += 1
        self.rows[triplet] = (first, now, passes)
        return Seen(first, passes)


class FakeDelivered:
    """The DeliveredRecipients protocol over a dict. broken: it raises StoreError. rows: by digest."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.rows: dict[str, dict[str, float]] = {}

    async def delivered(self, digest: str) -> frozenset[str]:
        if self.broken:
            raise StoreError("locked")
        return frozenset(self.rows.get(digest, ()))

    async def remember(self, digest: str, recipients: Collection[str], at: float) -> None:
        if self.broken:
            raise StoreError("locked")
        self.rows.setdefault(digest, {}).update(dict.fromkeys(recipients, at))

    async def forget(self, digest: str, recipients: Collection[str]) -> None:
        if self.broken:
            raise StoreError("locked")
        for recipient in recipients:
            del self.rows[digest][recipient]


class FakeVerified:
    """The VerifiedAddresses protocol over a dict. broken: it raises StoreError. rows: what is known, and until when."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.rows: dict[tuple[Kind, str], tuple[Verified, float]] = {}

    async def verified(self, kind: Kind, address: str) -> Verified | None:
        if self.broken:
            raise StoreError("locked")
        known = self.rows.get((kind, address))
        return known and known[0]

    async def remember_verified(self, kind: Kind, address: str, known: Verified, expires: float) -> None:
        if self.broken:
            raise StoreError("locked")
        self.rows[kind, address] = known, expires
