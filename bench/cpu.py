"""CPU time and memory, from /proc: of a process with all its children, and CPU time of the whole machine."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_TICK = 1 / os.sysconf("SC_CLK_TCK")


class _Process(NamedTuple):
    """ticks: its own CPU time and that of the children that it has waited for."""

    pid: int
    parent: int
    ticks: int


def of_tree(root: int) -> float:
    """CPU seconds, user and system, of a process and all that descends from it.

    A child that ended is counted by its parent (proc(5): cutime, cstime), so that nothing is lost between two calls.
    """
    return sum(process.ticks for process in _tree(root)) * _TICK


def memory_of_tree(root: int) -> float:
    """MiB that a process and all that descends from it hold; pages that several share are counted once."""
    kib = 0
    for process in _tree(root):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def _tree(root: int) -> list[_Process]:
    children: defaultdict[int, list[_Process]] = defaultdict(list)
    found = []
    for process in _processes():
        children[process.parent].append(process)
        if process.pid == root:
            found.append(process)
    for process in found:  # it grows meanwhile
        found += children[process.pid]
    return found


def of_machine() -> float:
    """CPU seconds that all processes of this machine have used, interrupts included."""
    user, nice, system, _idle, _iowait, irq, softirq = _machine()[:7]
    return (user + nice + system + irq + softirq) * _TICK


def stolen() -> float:
    """Seconds in which this machine, if it is a virtual one, wanted to run and was not let."""
    return _machine()[7] * _TICK


def _machine() -> list[int]:
    return [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def _processes() -> Iterator[_Process]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            # The name may hold blanks and parentheses; behind it stand the state, the parent, … (proc(5)).
            fields = stat.rpartition(")")[2].split()
            yield _Process(int(entry.name), int(fields[1]), sum(map(int, fields[11:15])))
