"""Gives memory back to the system when large messages have passed.

glibc keeps what was freed for the next one: after 200 messages of 10 MB at once, nearly all that was ever needed. Its
other remedy, a fixed M_MMAP_THRESHOLD, costs some 6 % of the CPU time of a message of 1 MB; fewer arenas help nothing.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_INTERVAL = 10.0
# How much must have come together since the last time, in bytes: it is not worth while for less.
_WORTH = 32 * 2**20


class Heap:
    """Watches what the process has in memory.

    resident: tells that, in bytes. trim: gives back what is free; blocks. is_busy: whether more may soon be free.
    """

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object], is_busy: Callable[[], bool]) -> None:
        self._resident = resident
        self._trim = trim
        self._is_busy = is_busy
        self._least = resident()

    def look(self) -> None:
        """Give back, if there may be enough. Blocks."""
        resident = self._resident()
        self._least = min(self._least, resident)
        if resident < self._least + _WORTH:
            return
        self._trim()
        if not self._is_busy():
            self._least = self._resident()  # what is left is needed, and not looked through again

    async def watch(self) -> None:
        """Look at it again and again, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await asyncio.to_thread(self.look)


def system_heap(is_busy: Callable[[], bool]) -> Heap | None:
    """This process's; None where the C library cannot do it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if trim is None else Heap(_resident, lambda: trim(0), is_busy)


def _resident() -> int:
    """proc(5): the second number is the resident set size in pages."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
