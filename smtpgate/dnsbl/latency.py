"""How long answers took: few numbers, which can be added up over workers."""

from collections.abc import Iterable, Sequence

# Upper ends in seconds: 0.5 ms, and each half as long again, up to 12 s.
_ENDS = tuple(0.0005 * 1.5**step for step in range(26))


class Latency:
    """Counts times by their size. counts: one for each size, the last for all that is longer. total: seconds."""

    def __init__(self, counts: Iterable[int] = (), total: float = 0.0) -> None:
        self.counts = list(counts) or [0] * (len(_ENDS) + 1)
        self.total = total

    def note(self, seconds: float) -> None:
        """One more answer."""
        self.counts[next((size for size, end in enumerate(_ENDS) if seconds <= end), len(_ENDS))] += 1
        self.total += seconds

    @property
    def mean(self) -> float | None:
        """In seconds; None without answers."""
        answers = sum(self.counts)
        return self.total / answers if answers else None

    def quantile(self, share: float) -> float | None:
        """The time within which such a share of the answers came, in seconds, to half as long again; None without."""
        wanted = share * sum(self.counts)
        reached = 0
        for size, count in enumerate(self.counts):
            reached += count
            if count and reached >= wanted:
                return _ENDS[min(size, len(_ENDS) - 1)]
        return None

    @classmethod
    def sum(cls, parts: Sequence["Latency"]) -> "Latency":
        """All of them together."""
        counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
        return cls(counts, sum(part.total for part in parts))
