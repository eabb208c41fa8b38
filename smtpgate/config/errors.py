"""What is wrong with a configuration: every error with its file, line, what was expected and a hint."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST_QUOTE = 60
_NEAR = 0.7  # below it, "did you mean" names words that nobody meant


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One error.

    line: counted from 1, None if it is about the whole file. where: the section and the key. problem: what is wrong.
    expected: what would be right. hint: what to do.
    """

    file: str
    line: int | None
    where: str
    problem: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        expected = f"expected {self.expected}" if self.expected else ""
        return ": ".join(part for part in (place, self.where, self.problem, expected, self.hint) if part)


class ConfigErrors(Exception):
    """All that is wrong with a configuration, by line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = sorted(errors, key=lambda error: error.line or 0)
        super().__init__("\n".join(map(str, self.errors)))


def quote(value: Any) -> str:
    """A configured value for an error message: bounded, without control characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def nearest(word: Any, words: Sequence[str]) -> str:
    """The sentence that names the right word nearest to a wrong one, or nothing."""
    if not isinstance(word, str):
        return ""
    word = word[:_LONGEST_QUOTE].lower()
    twisted = [right for right in words if sorted(right) == sorted(word)]  # "dsn": too short to be near
    found = twisted or difflib.get_close_matches(word, words, n=1, cutoff=_NEAR)
    return f'did you mean "{found[0]}"?' if found else ""
