"""Counts by client network that all workers of a host share, without locks.

One anonymous shared mapping, made before the workers are forked, has a column for each of them. A worker writes its own
column only and adds up all of them to read, so that nothing can stay locked when one is killed; its column is emptied
for the next one. A reader beside a writer sees a count of a moment ago or of now: single words are written at once.

The size is fixed. A network finds its place by a keyed hash, which no client can aim at; where too many meet, the one
that finds no place is not counted: mistakes are in favour of the client.
"""

import mmap
import secrets
from collections.abc import Callable

# A place: tag, open connections, minute, and what that minute brought: connections, messages, recipients.
_TAG, _OPEN, _MINUTE, _RATES = 0, 1, 2, 3
CONNECTIONS, MESSAGES, RECIPIENTS = 0, 1, 2
_WORDS = 6
_PLACES = 4  # in one bucket: as many networks whose hashes meet are told apart
_BUCKETS = 8192
_WORD = 4


class ClientTable:
    """The shared mapping. columns: one for each worker that lives at the same time, those being drained included.

    Whoever forks the workers takes a column for each before, and gives it back when the worker has ended.
    """

    def __init__(self, columns: int, *, buckets: int = _BUCKETS) -> None:
        self._buckets = buckets
        self._key = secrets.token_bytes(16)
        self._stride = buckets * _PLACES * _WORDS
        self._free = list(range(columns))
        words = memoryview(mmap.mmap(-1, (columns * self._stride + 1) * _WORD)).cast("I")
        self._words, self._used = words[:-1], words[-1:]  # so many columns have ever been taken

    def take(self) -> int | None:
        """A free column; None if there is none: such a worker counts for itself."""
        if not self._free:
            return None
        column = min(self._free)  # those in use stay close together, and few are added up
        self._free.remove(column)
        self._used[0] = max(self._used[0], column + 1)
        return column

    def give_back(self, column: int) -> None:
        """Its worker is gone: what it counted no longer holds."""
        start = column * self._stride
        self._words[start : start + self._stride] = memoryview(bytes(self._stride * _WORD)).cast("I")
        self._free.append(column)

    def counts(self, column: int, clock: Callable[[], float]) -> "ClientCounts":
        """What the worker of this column counts with. clock: in seconds, the same for all workers."""
        return ClientCounts(self._words, self._used, self._bucket, column * self._stride, self._stride, clock)

    def _bucket(self, network: bytes) -> tuple[int, int]:
        """Where in a column the network's bucket begins, and its tag, never 0."""
        digest = hash(self._key + network)  # Python's, for bytes, is SipHash; forked processes have the same
        return (digest >> 32) % self._buckets * _PLACES * _WORDS, (digest & 0xFFFFFFFF) or 1


class ClientCounts:
    """What one worker counts, and what all workers together have counted. Rates are of the running minute."""

    def __init__(
        self,
        words: "memoryview[int]",
        used: "memoryview[int]",
        bucket: Callable[[bytes], tuple[int, int]],
        own: int,
        stride: int,
        clock: Callable[[], float],
    ) -> None:
        self._words = words
        self._used = used
        self._bucket = bucket
        self._own = own
        self._stride = stride
        self._clock = clock

    def open(self, network: bytes) -> tuple[int, int]:
        """One more connection; how many are open now, and how many were opened in this minute, this one included."""
        return self._count(network, CONNECTIONS, opens=1)

    def close(self, network: bytes) -> None:
        """A connection that was counted by open() is over."""
        start, tag = self._bucket(network)
        place = self._find(self._own + start, tag)
        if place is not None and self._words[place + _OPEN]:
            self._words[place + _OPEN] -= 1

    def add(self, network: bytes, what: int) -> int:
        """One more message or recipient; how many there were in this minute, this one included."""
        return self._count(network, what)[1]

    def _count(self, network: bytes, what: int, opens: int = 0) -> tuple[int, int]:
        """One more in the own column; what all columns hold: open connections, and this one of the rates."""
        words, minute = self._words, int(self._clock() / 60) & 0xFFFFFFFF
        offset, tag = self._bucket(network)
        own = self._own + offset
        place = self._place(own, tag, minute)
        opened = rate = 0
        if place is not None:
            opened = words[place + _OPEN] = words[place + _OPEN] + opens
            rate = words[place + _RATES + what] = words[place + _RATES + what] + 1
        for start in range(offset, self._used[0] * self._stride, self._stride):
            place = None if start == own else self._find(start, tag)
            if place is not None:
                opened += words[place + _OPEN]
                if words[place + _MINUTE] == minute:
                    rate += words[place + _RATES + what]
        return opened, rate

    def _place(self, start: int, tag: int, minute: int) -> int | None:
        """The network's place in a bucket of the own column, made if there is room, with this minute's counts."""
        words = self._words
        place = self._find(start, tag)
        if place is None:
            place = self._find_unused(start, minute)
            if place is None:
                return None
            words[place + _OPEN] = words[place + _MINUTE] = 0
            words[place + _TAG] = tag
        if words[place + _MINUTE] != minute:
            words[place + _MINUTE] = minute
            for rate in range(place + _RATES, place + _WORDS):
                words[rate] = 0
        return place

    def _find(self, start: int, tag: int) -> int | None:
        tags = self._words[start + _TAG : start + _PLACES * _WORDS : _WORDS].tolist()
        return start + tags.index(tag) * _WORDS if tag in tags else None

    def _find_unused(self, start: int, minute: int) -> int | None:
        """A place that nobody has, or whose network has nothing open and did nothing in this minute."""
        for place in range(start, start + _PLACES * _WORDS, _WORDS):
            if not self._words[place + _TAG] or (
                not self._words[place + _OPEN] and self._words[place + _MINUTE] != minute
            ):
                return place
        return None


def counts_of_one(clock: Callable[[], float]) -> ClientCounts:
    """For a worker that is alone. clock: in seconds."""
    table = ClientTable(1)
    return table.counts(table.take() or 0, clock)
