"""Room for sessions: who is idle, who must go when a newcomer finds no room, and the stress profile.

When sessions run out, those who waste them get less patience (Postfix: STRESS_README); a client with a transaction
under way, and any in mynetworks, keeps all that it has.
"""

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from smtpgate.smtp.limits import DialogLimits

log = logging.getLogger(__name__)

# Of the sessions there are: from where on it tightens, and down to where it stays so.
_ENTER, _LEAVE = 0.9, 0.7
# Whoever was silent for less may only be far away.
_IDLE_FOR = 2.0


class Session(Protocol):
    """What the room asks of a session."""

    def make_room(self) -> None:
        """End now: somebody else needs the place."""

    def hurry(self) -> None:
        """Look again at how long the client may be silent."""


class Room:
    """The sessions of one process. clock: monotonic, in seconds. stress: whether they are running out.

    idle: those that wait for their clients between transactions, and since when; the longest idle stands first.
    """

    def __init__(self, limits: DialogLimits, sessions: Collection[Session], clock: Callable[[], float]) -> None:
        self.stress = False
        self.idle: dict[Session, float] = {}
        self._limits = limits
        self._sessions = sessions
        self._clock = clock

    def enter(self) -> bool:
        """A session was added; whether there is room for it, made by ending an idle one if need be."""
        self._watch()
        return len(self._sessions) <= self._limits.sessions or self._end_an_idle_one()

    def leave(self, session: Session) -> None:
        """The session was taken out."""
        self.idle.pop(session, None)
        self._watch()

    def _end_an_idle_one(self) -> bool:
        longest = next(iter(self.idle), None)
        if longest is None or self._clock() - self.idle[longest] < _IDLE_FOR:
            return False
        del self.idle[longest]
        longest.make_room()
        return True

    def _watch(self) -> None:
        taken, most = len(self._sessions), self._limits.sessions
        if not self.stress and taken >= most * _ENTER:
            self.stress = True
            log.warning("stress: %d of %d sessions are in use, idle clients get less patience", taken, most)
            for session in list(self.idle):
                session.hurry()
        elif self.stress and taken < most * _LEAVE:
            self.stress = False
            log.warning("stress is over: %d of %d sessions are in use", taken, most)
