"""The Store protocol: what the server asks of its database, whichever it is."""

import math
from collections.abc import Sequence
from typing import Protocol

from smtpgate.store.delivered import DeliveredRecipients
from smtpgate.store.greylist import Greylist
from smtpgate.store.record_row import RecordRow
from smtpgate.store.verified import VerifiedAddresses


class Store(Greylist, DeliveredRecipients, VerifiedAddresses, Protocol):
    """The database. Every method but close() raises StoreError when it cannot answer now."""

    async def write_records(self, records: Sequence[RecordRow]) -> None:
        """Write records, all or none; on return they are committed."""
        ...

    async def delete_before(
        self, record_at: float, greylist_at: float, delivered_at: float, ahead: float = math.inf
    ) -> int:
        """Delete records that began before `record_at`, triplets and verified addresses that expired by `greylist_at`,
        and what was remembered of deliveries before `delivered_at`. Also what is of a time after `ahead`, or expires
        after it and was written after `greylist_at`: a clock that was wrong has written it.

        All are seconds since 1970. It works in bounded batches, so that nobody waits long for it. Returns how many rows
        were deleted.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for and close the database. Never raises."""
        ...
