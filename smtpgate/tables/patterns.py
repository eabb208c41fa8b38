"""Tables of regular expressions: regexp: and pcre:, as regexp_table(5) and pcre_table(5) describe them.

Python's expressions are not quite theirs: what can be said in Python is translated, what cannot is refused when the
table is read, and never guessed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smtpgate.tables.blocks import Blocks, read_blocks
from smtpgate.tables.expressions import Flavour, compile_expression
from smtpgate.tables.source import Entry, Problem

# What is matched is written by strangers, and an expression may take long for each octet more. An address has at most
# 511 octets, a host name 255.
LONGEST_SUBJECT = 512

_NEGATIONS = re.compile(r"[!\s]*")
_PIECE = re.compile(r"\$(?:\$|([0-9]+)|\{([0-9]+)\}|\(([0-9]+)\)|(.?))|([^$]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Line:
    """first, second: expressions, and whether they must match or must not. result: text, and the numbers of groups to
    put in; None for an if.
    """

    first: re.Pattern[str]
    wanted: bool
    second: re.Pattern[str] | None = None
    second_wanted: bool = True
    result: tuple[str | int, ...] | None = None

    def holds(self, subject: str) -> bool:
        """Whether a subject fits."""
        if (self.first.search(subject) is not None) != self.wanted:
            return False
        return self.second is None or (self.second.search(subject) is not None) == self.second_wanted

    def filled(self, subject: str) -> str:
        """The result, with what the groups matched."""
        assert self.result is not None
        match = self.first.search(subject) if self.wanted else None
        return "".join(
            part if isinstance(part, str) else ((match and match[part]) or "") for part in self.result
        ).strip()


class Patterns:
    """Results of expressions; the first that matches a whole key counts."""

    has_names: bool = True

    def __init__(self, lines: Blocks[_Line], entries: tuple[Entry, ...]) -> None:
        self._lines = lines
        self.entries: Sequence[Entry] = entries

    @property
    def expressions(self) -> list[tuple[int, re.Pattern[str]]]:
        """All of them, each with the number of its line."""
        return [(number, one) for number, line in self._lines.numbered for one in (line.first, line.second) if one]

    def find(self, key: str, whole: bool, longest: int = LONGEST_SUBJECT) -> str | None:
        """The result of a whole key (Table). longest: how many of its characters are looked at."""
        if not whole:
            return None
        subject = key[:longest]
        for line in self._lines.walk(lambda line: line.holds(subject)):
            if line.result is not None:
                return line.filled(subject)
        return None


def parse_patterns(text: str, flavour: Flavour) -> tuple[Patterns, list[Problem]]:
    """A table of lines "/expression/flags result", with if … endif and "!", and what cannot be used."""
    anything = _Line(re.compile(""), True)
    lines, entries, problems = read_blocks(
        text, lambda line: _read(line, flavour), lambda rest: _condition(rest, flavour), anything
    )
    return Patterns(lines, entries), problems


def _condition(text: str, flavour: Flavour) -> _Line:
    first, wanted, rest = _expression(text, flavour)
    if rest.strip():
        raise ValueError(f"{rest.strip()[:60]!r} is too much behind an if")
    return _Line(first, wanted)


def _read(line: str, flavour: Flavour) -> tuple[_Line, str]:
    if line[0].isspace() or line[0].isalnum():
        raise ValueError(f"expected /expression/flags and a result, not {line[:60]!r}")
    first, wanted, rest = _expression(line, flavour)
    second, second_wanted = None, True
    if rest.startswith("!") and flavour is Flavour.POSIX:
        second, second_wanted, rest = _expression(rest, flavour)
    if rest and not rest[0].isspace():
        raise ValueError(f"unknown flags {rest.split()[0]!r}")
    text = rest.strip()
    if not text:
        raise ValueError("there is no result")
    result = _template(text, first.groups if wanted else None)
    return _Line(first, wanted, second, second_wanted, result), text


def _expression(text: str, flavour: Flavour) -> tuple[re.Pattern[str], bool, str]:
    """The expression at the beginning of a text, whether it must match, and what follows it."""
    negations = _NEGATIONS.match(text)
    assert negations is not None
    text = text[negations.end() :]
    if not text:
        raise ValueError("expected /expression/flags")
    delimiter, at = text[0], 1
    while at < len(text) and text[at] != delimiter:
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise ValueError(f"the expression has no closing {delimiter}")
    flags = re.match(r"[A-Za-z]*", text[at + 1 :])
    assert flags is not None
    pattern = compile_expression(text[1:at], flags[0], flavour)
    return pattern, negations[0].count("!") % 2 == 0, text[at + 1 + flags.end() :]


def _template(text: str, groups: int | None) -> tuple[str | int, ...]:
    """A result in pieces: text, and numbers of groups. groups: how many there are, None behind a "!"."""
    pieces: list[str | int] = []
    for match in _PIECE.finditer(text):
        number = match[1] or match[2] or match[3]
        if match[5]:
            pieces.append(match[5])
        elif match[0] == "$$":
            pieces.append("$")
        elif not number:
            raise ValueError(f"{match[0]!r} is not right: expected a number such as $1, or $$ for a dollar")
        elif groups is None:
            raise ValueError(f"{match[0]} stands behind an expression that must not match")
        elif not 1 <= int(number) <= groups:
            raise ValueError(f"{match[0]}: the expression has {groups or 'no'} groups")
        else:
            pieces.append(int(number))
    if (pieces and not isinstance(pieces[0], str)) or (len(pieces) > 1 and not re.search(r"\s", str(pieces[0]))):
        raise ValueError("what is done must not depend on what strangers write: begin with an action")
    return tuple(pieces)
