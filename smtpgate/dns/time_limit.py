"""How long the look-ups of one session may keep its client waiting, all of them together.

A question has its own time-out, but a session asks many. When their time is over, those in flight fail, and so does
each further one that cannot be answered from memory, as if the DNS had failed: each check says what that means.
"""

import asyncio
from contextvars import ContextVar, Token

from smtpgate.dns.interruption import Interruption
from smtpgate.dns.resolver import Answer, RecordType, Resolver, Status

# The detail of such a failure: it says nothing about who was asked.
TIME_IS_OVER = "the time for look-ups is over"


class LookupTime:
    """The time that one session's look-ups have.

    phase: how long its client may wait for one answer, in seconds. session: for all answers together. Whoever asks on
    the session's behalf does so between enter() and leave().
    """

    __slots__ = ("_began", "_left", "_phase", "_timer", "_waiting", "is_over")

    def __init__(self, phase: float, session: float) -> None:
        self.is_over = False
        self._phase = phase
        self._left = session
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[Interruption] = set()

    def start(self) -> None:
        """The client waits for a look-up; it may do so already."""
        if self._timer is None and not self.is_over:
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            self._timer = loop.call_later(min(self._phase, self._left), self.expire)

    def stop(self) -> None:
        """The client has its answer: the next one has the time of a phase again, if the session has as much."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= asyncio.get_running_loop().time() - self._began
        self.is_over = self._left <= 0

    def expire(self) -> None:
        """The time is over; the timer calls it."""
        self.is_over = True
        waiting, self._waiting = self._waiting, set()
        for interruption in waiting:
            interruption.interrupt()

    def enter(self) -> Token["LookupTime | None"]:
        """What is asked from now on in this task is asked on the session's behalf."""
        return _current.set(self)

    async def ask(self, resolver: Resolver, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        if self.is_over:
            # There are still answers from memory: they come before the event loop sees this.
            asyncio.get_running_loop().call_soon(self.expire)
        interruption = Interruption()
        self._waiting.add(interruption)
        try:
            return await resolver.query(name, kind)
        except asyncio.CancelledError:
            if interruption.happened():
                return Answer(name, kind, Status.FAILURE, detail=TIME_IS_OVER)
            raise
        finally:
            self._waiting.discard(interruption)


_current: ContextVar[LookupTime | None] = ContextVar("smtpgate.dns.time_limit", default=None)


def leave(token: Token[LookupTime | None]) -> None:
    """Undo LookupTime.enter()."""
    _current.reset(token)


class TimedResolver:
    """A resolver that keeps to the time of the session on whose behalf it is asked, if there is one."""

    def __init__(self, inner: Resolver) -> None:
        self._inner = inner

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        time = _current.get()
        return await (self._inner.query(name, kind) if time is None else time.ask(self._inner, name, kind))
