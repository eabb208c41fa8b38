"""Held messages that nobody has looked at for long are deleted, beside the event loop.

They are mail that somebody has been told is accepted: no clock that is set may delete them. What is too old then, or
from the future, counts as held from now on.
"""

import asyncio
import logging
import math

from smtpgate.quarantine import Quarantine
from smtpgate.server.wall_clock import DAY, Look, WallClock
from smtpgate.system_error import in_words

log = logging.getLogger(__name__)

_MOST_NAMED = 20


class HeldMessages:
    """The quarantine's upkeep. keep: seconds that a message is held. clock: tells what is old. every: seconds."""

    def __init__(self, quarantine: Quarantine, keep: float, clock: WallClock, *, every: float = 3600.0) -> None:
        self._quarantine = quarantine
        self._keep = keep
        self._clock = clock
        self._every = every

    async def watch(self) -> None:
        """Delete what is too old, again and again, until cancelled."""
        async for look in self._clock.looks(self._every):
            try:
                await self.delete(look)
            except OSError as trouble:
                log.warning("old messages in the quarantine cannot be deleted now: %s", in_words(trouble))
            except Exception:
                log.exception("old messages in the quarantine cannot be deleted")

    async def delete(self, look: Look) -> None:
        """Delete what is too old. Raises OSError."""
        oldest = look.now - self._keep
        if look.was_set:
            await asyncio.to_thread(self._quarantine.renew, oldest, look.now)
            return
        deleted = await asyncio.to_thread(self._quarantine.delete_before, oldest)
        if look.steady > DAY:  # by then it is right
            await asyncio.to_thread(self._quarantine.renew, -math.inf, look.now)
        if deleted:
            more = f" and {len(deleted) - _MOST_NAMED} more" if len(deleted) > _MOST_NAMED else ""
            log.warning(
                "%d held messages are deleted, because nobody has looked at them within quarantine_keep: %s%s",
                len(deleted),
                ", ".join(deleted[:_MOST_NAMED]),
                more,
            )
