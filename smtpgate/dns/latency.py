"""How long answers take: a histogram, which can be added to that of another process."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

# Upper bounds in seconds, 26 % apart: from 0.1 ms to 10 s. What takes longer is counted behind the last one.
BOUNDS = tuple(0.0001 * 10 ** (step / 10) for step in range(51))


class Latency:
    """counts: how many answers took at most as long as each of BOUNDS; the last: longer. seconds: all together."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more answer."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


def added(histograms: Iterable[Sequence[int]]) -> list[int]:
    """The counts of several together."""
    total = [0] * (len(BOUNDS) + 1)
    for counts in histograms:
        total = [one + other for one, other in zip(total, counts, strict=True)]
    return total


def percentile(counts: Sequence[int], share: float) -> float | None:
    """What so large a share (0 … 1) of the answers did not take longer than, in seconds; None without answers."""
    wanted = share * sum(counts)
    if not wanted:
        return None
    seen = 0
    for bound, count in zip(BOUNDS, counts, strict=False):
        seen += count
        if seen >= wanted:
            return bound
    return BOUNDS[-1]
