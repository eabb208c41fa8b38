"""The text of a table: logical lines, and what is wrong with them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Problem(NamedTuple):
    """A line that cannot be used. line: counted from 1."""

    line: int
    text: str


class BadLines(ValueError):
    """The lines of a table that cannot be used. file: where they stand, "" if in the configuration itself."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"line {line}: {text}" for line, text in problems))
        self.file = file
        self.problems = problems


class Entry(NamedTuple):
    """A result and the line where it stands. With $1 and the like still in it, if it is a pattern's."""

    line: int
    result: str


class Table(Protocol):
    """What keys lead to.

    has_names: whether a host name may be found in it; without, nobody need look one up.
    """

    has_names: bool

    @property
    def entries(self) -> Sequence[Entry]:
        """Every result, for whoever checks them."""
        ...

    def find(self, key: str, whole: bool) -> str | None:
        """The result of a key. whole: False if it is only a part of what is asked about, such as a parent domain."""
        ...


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that continue them, and the number of the first (Postfix: readllines).

    A line that begins with a blank continues the one before; comments and empty lines are left out, between the two
    as well. The first may begin with a blank too, which is for the caller to refuse.
    """
    first, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if parts and line[0] in " \t":
            parts.append(line)
            continue
        if parts:
            yield first, "".join(parts)
        first, parts = number, [line]
    if parts:
        yield first, "".join(parts)
