"""The workers that run with one configuration, and when a missing one is started."""

import logging
import time
from collections.abc import Callable

from smtpgate.config.settings import Settings
from smtpgate.server.worker_process import WorkerProcess

log = logging.getLogger(__name__)

# Times in seconds. After a worker that served, but so briefly, comes a breath; after one that never served there is
# little hope for the next.
_BRIEFLY, _BREATH = 2.0, 0.5
_RETRY_AFTER = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Generation:
    """So many workers with the same settings. start: forks the one of a slot. Times are monotonic, in seconds.

    began: when it was made. failures: workers in a row that ended before they served, or could not even be started.
    """

    def __init__(self, settings: Settings, count: int, start: Callable[["Generation", int], WorkerProcess]) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.failures = 0
        self._start = start
        self._slots: list[WorkerProcess | None] = [None] * count
        self._not_before = 0.0

    def __len__(self) -> int:
        """How many workers there should be."""
        return len(self._slots)

    @property
    def workers(self) -> list[WorkerProcess]:
        """Those that run."""
        return [worker for worker in self._slots if worker is not None]

    @property
    def is_ready(self) -> bool:
        """Whether all of them serve."""
        return all(worker is not None and worker.is_ready for worker in self._slots)

    @property
    def next_start(self) -> float | None:
        """When start_missing() has something to do; None while nothing is missing."""
        return self._not_before if None in self._slots else None

    def start_missing(self, now: float) -> None:
        """Start what is missing, unless it is too early for another attempt."""
        for slot, worker in enumerate(self._slots):
            if worker is None and now >= self._not_before:
                try:
                    self._slots[slot] = self._start(self, slot)
                except OSError as error:
                    log.error("a worker cannot be started, again in %g s: %s", self._put_off(now), error.strerror)

    def remove(self, worker: WorkerProcess, now: float) -> float:
        """A worker has ended; in how many seconds it is replaced."""
        self._slots[worker.slot] = None
        if not worker.is_ready:
            return self._put_off(now)
        self.failures = 0
        pause = _BREATH if now - worker.started < _BRIEFLY else 0.0
        self._not_before = now + pause
        return pause

    def _put_off(self, now: float) -> float:
        pause = _RETRY_AFTER[min(self.failures, len(_RETRY_AFTER) - 1)]
        self.failures += 1
        self._not_before = now + pause
        return pause
