"""Time limits of one length for many things, with one timer for all of them."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """What began first is late first, since all have the same time: so only the first one needs a timer.

    seconds: how long each has. late: called with each that was not stopped in time. clock: monotonic, in seconds.
    running: until when each has time.
    """

    def __init__(self, seconds: float, late: Callable[[T], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._late = late
        self._clock = clock
        self.running: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, thing: T, now: float) -> None:
        """Its time begins."""
        self.running[thing] = now + self._seconds
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self.expire)

    def stop(self, thing: T) -> None:
        """It has no time limit any more, if it had one."""
        self.running.pop(thing, None)

    def close(self) -> None:
        """Forget all of them."""
        self.running.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def expire(self) -> None:
        """Say which are late by now; the timer calls it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        for thing in [thing for thing, _ in itertools.takewhile(lambda item: item[1] <= now, self.running.items())]:
            if self.running.pop(thing, None) is not None:  # else the one before it took care of it
                self._late(thing)
        first = next(iter(self.running.values()), None)
        if first is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(max(first - now, 0.001), self.expire)
