"""Our own trouble, with a disk most of all: one clear line now and then, and a word for `smtpgate status`."""

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from smtpgate.system_error import in_words

log = logging.getLogger(__name__)

# Between two lines about the same trouble, in seconds: a full disk must not fill the log's disk too.
_TOLD_EVERY = 60.0
MAKE_ROOM = "make room there (`df -h` and `df -i` tell)"
_WHAT_TO_DO = {
    os.strerror(errno.ENOSPC): MAKE_ROOM,
    os.strerror(errno.EDQUOT): "make room there, or raise the user's quota",
    os.strerror(errno.EROFS): "`dmesg` may tell why",
}


@dataclass(frozen=True, slots=True)
class Failing:
    """What fails, why, and how many seconds ago it did so last."""

    what: str
    why: str
    seconds: float


class Trouble:
    """Something that fails until somebody sees to it. It is tried anew each time, so that it heals by itself.

    what: the consequence, for the log. where: what the system's word is about; "" if errors say it themselves. clock:
    never set back, in seconds.
    """

    def __init__(self, what: str, where: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._where = where
        self._clock = clock
        self._why = ""  # while it fails
        self._failed_at = 0.0
        self._quiet_until = float("-inf")
        self._is_told = False

    def happened(self, error: Exception) -> None:
        """It failed."""
        self._why = self._reason(error)
        self._failed_at = self._clock()
        if self._failed_at >= self._quiet_until:
            log.warning("%s: %s", self._what, self._why)
            self._quiet_until = self._failed_at + _TOLD_EVERY
            self._is_told = True

    def passed(self) -> None:
        """It works."""
        self._why = ""
        if self._is_told:
            log.warning("no more trouble: %s", self._what)
            self._is_told = False

    def failing(self) -> Failing | None:
        """What is wrong, if it failed when it was tried last."""
        return Failing(self._what, self._why, self._clock() - self._failed_at) if self._why else None

    def _reason(self, error: Exception) -> str:
        said = error.strerror if self._where and isinstance(error, OSError) and error.strerror else in_words(error)
        return ": ".join(part for part in (self._where, said, _WHAT_TO_DO.get(said, "")) if part)
