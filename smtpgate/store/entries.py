"""Access tables that are kept in the store, and a memory of what was looked up in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# How long an answer is remembered, in seconds: so soon is a change of a table seen.
REMEMBERED = 5.0
_MOST_REMEMBERED = 10_000


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
        self._answers: dict[tuple[str, ...], tuple[float, Mapping[str, str]]] = {}

    async def entries(self, name: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The results of keys (StoredTables)."""
        question = (name, *keys)
        kept = self._answers.get(question)
        if kept is not None and self._clock() - kept[0] < REMEMBERED:
            return kept[1]
        answer = await self._tables.entries(name, keys)
        self._answers.pop(question, None)
        if len(self._answers) >= _MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]  # the oldest
        self._answers[question] = (self._clock(), answer)
        return answer
