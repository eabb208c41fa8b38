"""How long the look-ups of one session may keep its client waiting, all of them together.

A question has its own time-out, but a session asks many. When their time is over, those in flight fail, and so does
each further one that cannot be answered from memory, as if the DNS had failed: each check says what that means.
"""

import asyncio
from contextvars import ContextVar
from time import monotonic

from smtpgate.dns.resolver import Answer

# What will have an answer, or None: the time is over. It is done, too, when nobody waits for it any more.
Waiter = asyncio.Future[Answer | None]

# The detail of such a failure: it says nothing about who was asked.
TIME_IS_OVER = "the time for look-ups is over"
_MANY = 100  # answers; those that have come are forgotten when there are so many, or the client has its reply


class LookupTime:
    """The time that one session's look-ups have.

    phase: how long its client may wait for one answer, in seconds. session: for all answers together. After enter(),
    whatever the session's task asks, and each task that it starts, is asked on the session's behalf.
    """

    __slots__ = ("_began", "_left", "_phase", "_timer", "_waiting", "is_over")

    def __init__(self, phase: float, session: float) -> None:
        self.is_over = False
        self._phase = phase
        self._left = session
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[Waiter] = []

    def start(self) -> None:
        """The client waits for a look-up; it may do so already."""
        if self._timer is None and not self.is_over:
            self._began = monotonic()
            self._timer = asyncio.get_running_loop().call_later(min(self._phase, self._left), self.expire)

    def stop(self) -> None:
        """The client has its answer: the next one has the time of a phase again, if the session has as much."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= monotonic() - self._began
        self.is_over = self._left <= 0
        self._forget_answered()

    def expire(self) -> None:
        """The time is over; the timer calls it."""
        self.is_over = True
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _end(waiter)

    def enter(self) -> None:
        """This task is the session's."""
        session_time.set(self)

    def limit(self, waiter: Waiter) -> None:
        """See to it that it gets None when the time is over."""
        if self.is_over:
            _end(waiter)
        else:
            if len(self._waiting) >= _MANY:
                self._forget_answered()
            self._waiting.append(waiter)

    def _forget_answered(self) -> None:
        self._waiting = [waiter for waiter in self._waiting if not waiter.done()]


def _end(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)


# Of the session on whose behalf a task asks; None: it asks for itself.
session_time: ContextVar[LookupTime | None] = ContextVar("session_time", default=None)
