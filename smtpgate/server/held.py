"""Held messages that nobody has looked at for long are deleted, beside the event loop."""

import asyncio
import logging
import time
from collections.abc import Callable

from smtpgate.quarantine import Quarantine
from smtpgate.system_error import in_words

log = logging.getLogger(__name__)

_MOST_NAMED = 20


class HeldMessages:
    """The quarantine's upkeep. keep: seconds that a message is held. clock: seconds since 1970. every: seconds."""

    def __init__(
        self, quarantine: Quarantine, keep: float, clock: Callable[[], float] = time.time, *, every: float = 3600.0
    ) -> None:
        self._quarantine = quarantine
        self._keep = keep
        self._clock = clock
        self._every = every

    async def watch(self) -> None:
        """Delete what is too old, again and again, until cancelled."""
        while True:
            try:
                await self.delete()
            except OSError as trouble:
                log.warning("old messages in the quarantine cannot be deleted now: %s", in_words(trouble))
            except Exception:
                log.exception("old messages in the quarantine cannot be deleted")
            await asyncio.sleep(self._every)

    async def delete(self) -> None:
        """Delete what is too old. Raises OSError."""
        deleted = await asyncio.to_thread(self._quarantine.delete_before, self._clock() - self._keep)
        if deleted:
            more = f" and {len(deleted) - _MOST_NAMED} more" if len(deleted) > _MOST_NAMED else ""
            log.warning(
                "%d held messages are deleted, because nobody has looked at them within quarantine_keep: %s%s",
                len(deleted),
                ", ".join(deleted[:_MOST_NAMED]),
                more,
            )
