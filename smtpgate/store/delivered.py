"""Which recipients already have a message that its client was told to send again."""

from collections.abc import Collection
from typing import Protocol

# A client tries for four to five days (RFC 5321 §4.5.4.1), and each attempt that fails for somebody counts anew.
KEEP_DELIVERED = 5 * 86400.0


class DeliveredRecipients(Protocol):
    """Remembers them over restarts, shared by all processes of one store. All raise StoreError."""

    async def delivered(self, digest: str) -> frozenset[str]:
        """The recipients that have the message with this digest."""
        ...

    async def remember(self, digest: str, recipients: Collection[str], at: float) -> None:
        """Note that these have it. at: seconds since 1970. On return it is committed."""
        ...

    async def forget(self, digest: str, recipients: Collection[str]) -> None:
        """Forget that these have it: their client was told so. On return it is committed."""
        ...
