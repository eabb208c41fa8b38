"""Asyncio's slow-callback log, with what each slow callback did: computed, was blocked, or waited for a core.

asyncio's debug mode measures wall time alone. Where other programs keep the cores busy, a callback that does nothing
for long may still seem slow. Linux tells the difference for each thread: its CPU time, and how long it was ready to run
and had no core (/proc/thread-self/schedstat). What is left is time in which it slept: a blocking call, a disk, or the
interpreter's lock held by another thread.
"""

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# How often a thread looks whether a callback takes long, and where it is, in seconds.
_LOOK_EVERY = 0.004


class SlowCallback(NamedTuple):
    """One line of the log. Times in seconds.

    where: the function of the project in which it was seen most often. collecting: Python's cyclic garbage collector,
    which runs in whichever callback happens to be the one too many; a part of cpu.
    """

    what: str
    where: str
    wall: float
    cpu: float
    waited_for_core: float
    collecting: float

    @property
    def blocked(self) -> float:
        """How long it neither ran nor was ready to."""
        return max(0.0, self.wall - self.cpu - self.waited_for_core)

    @property
    def own(self) -> float:
        """What it would have taken on an idle machine."""
        return self.cpu + self.blocked


class EventLoopWatch(logging.Handler):
    """Collects what asyncio logs about the running event loop, which is put into debug mode.

    slow: the slow callbacks. others: everything else that asyncio warned of. turns: callbacks that were run.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.slow: list[SlowCallback] = []
        self.others: list[str] = []
        self.turns = 0
        self._threshold = 0.0
        self._began = float("inf")
        self._seen: Counter[str] = Counter()
        self._last = (0.0, 0.0, 0.0)
        self._collecting = 0.0
        self._run = asyncio.Handle._run
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)  # of this thread, whoever reads it
        self._watched = threading.get_ident()
        self._stopped = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def start(self, threshold: float) -> None:
        """Watch the running loop, which must be this thread's: callbacks of so many seconds are slow."""
        self._threshold = threshold
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = threshold
        asyncio.Handle._run = self._measured(self._run)  # type: ignore[assignment,method-assign]
        logging.getLogger("asyncio").addHandler(self)
        gc.callbacks.append(self._collected)
        self._looking.start()

    def stop(self) -> None:
        """Watch no longer; called when the loop has ended."""
        self._stopped.set()
        self._looking.join()
        asyncio.Handle._run = self._run  # type: ignore[method-assign]
        logging.getLogger("asyncio").removeHandler(self)
        gc.callbacks.remove(self._collected)
        os.close(self._schedstat)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a log entry; the one of a slow callback follows directly after it was run."""
        arguments = record.args
        if isinstance(arguments, tuple) and record.msg.startswith("Executing %s took"):
            where = self._seen.most_common(1)[0][0] if self._seen else "?"
            self.slow.append(SlowCallback(str(arguments[0]), where, float(str(arguments[1])), *self._last))
        else:
            self.others.append(self.format(record))

    def _measured(self, run: Callable[[asyncio.Handle], Any]) -> Callable[[asyncio.Handle], None]:
        def measured(handle: asyncio.Handle) -> None:
            waited, cpu = self._waited_for_core(), time.thread_time()
            self._seen.clear()
            self._collecting = 0.0
            self._began = time.monotonic()
            run(handle)
            self._began = float("inf")
            self._last = (time.thread_time() - cpu, self._waited_for_core() - waited, self._collecting)
            self.turns += 1

        return measured

    def _waited_for_core(self) -> float:
        return int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        # Between the two calls nothing else can happen: started, done.
        if threading.get_ident() == self._watched:
            self._collecting += time.thread_time() * (-1 if phase == "start" else 1)

    def _look(self) -> None:
        """Note where a callback is that takes long already."""
        while not self._stopped.wait(_LOOK_EVERY):
            if time.monotonic() - self._began > self._threshold / 4:
                self._seen[_place(self._watched)] += 1


def _place(thread: int) -> str:
    """The innermost function of the project in which a thread is."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if {"smtpgate", "bench"} & set(file.parts):
            return f"{file.parent.name}/{file.name}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "?"
