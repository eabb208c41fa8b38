"""How long answers take: a histogram, which can be added to that of another process."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

# Upper bounds in seconds, 26 % apart: from 0.1 ms to 10 s. What takes longer is counted behind the last one.
BOUNDS = tuple(0.0001 * 10 ** (step / 10) for step in range(51))


class Latency:
    """counts: how many answers took at most as long as each of BOUNDS; the last: longer. seconds: all together."""

    __slots__ = ("counts", "seconds")

    def __init__(self, counts: Iterable[int] = (), seconds: float = 0.0) -> None:
        self.counts = list(counts) or [0] * (len(BOUNDS) + 1)
        self.seconds = seconds

    def add(self, seconds: float) -> None:
        """One more answer."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @property
    def mean(self) -> float | None:
        """In seconds; None without answers."""
        answers = sum(self.counts)
        return self.seconds / answers if answers else None

    def quantile(self, share: float) -> float | None:
        """What so large a share (0 … 1) of the answers did not take longer than, in seconds; None without answers."""
        wanted = share * sum(self.counts)
        if not wanted:
            return None
        seen = 0
        for bound, count in zip(BOUNDS, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return BOUNDS[-1]

    @classmethod
    def sum(cls, parts: Sequence["Latency"]) -> "Latency":
        """All of them together."""
        counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
        return cls(counts, sum(part.seconds for part in parts))
