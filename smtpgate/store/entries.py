"""Access tables that are kept in the store, and a memory of what was looked up in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# How long an answer is remembered, in seconds: so soon is a change of a table seen.
REMEMBERED = 5.0
# Of all questions that are remembered: one about a stranger's mail servers has thousands if he likes.
MOST_KEYS = 50_000


class StoredTables(Protocol):
    """Looks keys up, in the tables of all processes of one store."""

    async def entries(self, name: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The results of those keys, in lower case, that a table has. Raises StoreError."""
        ...


class RememberedTables:
    """StoredTables that remember for a while. clock: monotonic, in seconds."""

    def __init__(self, tables: StoredTables, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._clock = clock
        self._answers: dict[tuple[str, ...], tuple[float, Mapping[str, str]]] = {}  # the oldest first
        self._room = MOST_KEYS

    async def entries(self, name: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The results of keys (StoredTables)."""
        question = (name, *keys)
        kept = self._answers.get(question)
        if kept is not None and self._clock() - kept[0] < REMEMBERED:
            return kept[1]
        answer = await self._tables.entries(name, keys)
        if self._answers.pop(question, None) is None:
            self._room -= len(keys) + 1
        self._answers[question] = (self._clock(), answer)
        while self._room < 0:
            oldest = next(iter(self._answers))
            del self._answers[oldest]
            self._room += len(oldest)
        return answer
