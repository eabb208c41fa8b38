"""Lines in order, some of them conditions for those behind them: if … endif."""

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from smtpgate.tables.source import Entry, Problem, logical_lines

T = TypeVar("T")

_STATEMENT = re.compile(r"(if|endif)(?![0-9A-Za-z])\s*(.*)\Z", re.IGNORECASE | re.DOTALL)


class Blocks(Generic[T]):
    """Lines as they are read. open: the numbers of the ifs that have no endif yet."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self._lines: list[T] = []
        self._numbers: list[int] = []
        self._skip: dict[int, int] = {}  # of an if: where it goes on if the condition does not hold
        self._begun: list[int] = []

    def __iter__(self) -> Iterator[T]:
        return iter(self._lines)

    @property
    def numbered(self) -> Iterator[tuple[int, T]]:
        """All lines, each with its number."""
        return zip(self._numbers, self._lines, strict=True)

    @property
    def has_conditions(self) -> bool:
        """Whether there is an if."""
        return bool(self._skip)

    def add(self, number: int, line: T) -> None:
        """A line of its own, with its number."""
        self._lines.append(line)
        self._numbers.append(number)

    def begin(self, number: int, condition: T) -> None:
        """An if, in the line with this number."""
        self._begun.append(len(self._lines))
        self.open.append(number)
        self.add(number, condition)
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


def read_blocks(
    text: str, read: Callable[[str], tuple[T, str]], condition: Callable[[str], T], wrong: T
) -> tuple[Blocks[T], tuple[Entry, ...], list[Problem]]:
    """The lines of a table, their results, and what cannot be used.

    read: makes a line and its result of a text; condition: what stands behind an if. Both raise ValueError. wrong:
    stands for an if that cannot be read, so that its endif is not refused as well.
    """
    lines: Blocks[T] = Blocks()
    entries, problems = [], []
    for number, line in logical_lines(text):
        statement = _STATEMENT.match(line)
        try:
            if statement is None:
                made, result = read(line)
                entries.append(Entry(number, result))
                lines.add(number, made)
            elif statement[1].lower() == "if":
                lines.begin(number, condition(statement[2]))
            else:
                lines.end(statement[2])
        except ValueError as error:
            problems.append(Problem(number, str(error)))
            if statement and statement[1].lower() == "if":
                lines.begin(number, wrong)
    problems += [Problem(number, "this if has no endif") for number in lines.open]
    return lines, tuple(entries), problems
