"""The wall clock, and whether it has just been set: what is old by such a clock may be quite new.

A machine without a battery for its clock begins in the past, or anywhere, and is told the time minutes later; somebody
types a wrong year, and the right one soon after. What was deleted meanwhile as too old does not come back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

DAY = 86400.0
# It is corrected a little all the time; this is no correction. In seconds.
_SET = 60.0


class Look(NamedTuple):
    """What the clock says. now: seconds since 1970. was_set: since the last look. steady: seconds without that."""

    now: float
    was_set: bool
    steady: float


class WallClock:
    """Is looked at from time to time by those who delete.

    wall: seconds since 1970. monotonic: seconds, never set; that it stands still while a machine sleeps makes no
    difference but that of a few minutes. soon: seconds from the start, or from when it was seen to be set, to the next
    look.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        soon: float = 300.0,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._soon = soon

    async def looks(self, every: float) -> AsyncIterator[Look]:
        """Look again and again, every so many seconds."""
        since = self._monotonic()
        ahead = self._wall() - since
        pause = self._soon
        while True:
            await asyncio.sleep(pause)
            now, monotonic = self._wall(), self._monotonic()
            was, ahead = ahead, now - monotonic
            was_set = abs(ahead - was) > _SET
            if was_set:
                since = monotonic
            pause = self._soon if was_set else every
            yield Look(now, was_set, monotonic - since)
