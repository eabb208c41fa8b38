"""Lines in order, some of them conditions for those behind them: if … endif."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Blocks(Generic[T]):
    """Lines as they are read. open: the numbers of the ifs that have no endif yet."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self._lines: list[T] = []
        self._skip: dict[int, int] = {}  # of an if: where it goes on if the condition does not hold
        self._begun: list[int] = []

    def add(self, line: T) -> None:
        """A line of its own."""
        self._lines.append(line)

    def begin(self, number: int, condition: T) -> None:
        """An if, in the line with this number."""
        self._begun.append(len(self._lines))
        self.open.append(number)
        self._lines.append(condition)
        self._skip[self._begun[-1]] = 0

    def end(self, rest: str) -> None:
        """An endif, and what stands behind it. Raises ValueError."""
        if not self.open:
            raise ValueError("there is no if for this endif")
        self.open.pop()
        self._skip[self._begun.pop()] = len(self._lines)
        if rest.strip():
            raise ValueError(f"{rest.strip()[:60]!r} is too much behind an endif")

    def walk(self, holds: Callable[[T], bool]) -> Iterator[T]:
        """The lines that hold, ifs among them, without those of an if that does not."""
        at, lines = 0, self._lines
        while at < len(lines):
            if holds(lines[at]):
                yield lines[at]
                at += 1
            else:
                at = self._skip.get(at) or at + 1
