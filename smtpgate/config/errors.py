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
        return ": ".join(part for part in (place, self.where, self.said) if part)

    @property
    def said(self) -> str:
        """What is wrong, without the place."""
        expected = f"expected {self.expected}" if self.expected else ""
        return ": ".join(part for part in (self.problem, expected, self.hint) if part)


class ConfigErrors(Exception):
    """All that is wrong with a configuration and the files that it names, by file and line, each once."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        once = list(dict.fromkeys(errors))
        files = list(dict.fromkeys(error.file for error in once))
        self.errors = sorted(once, key=lambda error: (files.index(error.file), error.line or 0))
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
