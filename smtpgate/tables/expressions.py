"""POSIX and Perl-compatible regular expressions, as far as Python's can say the same."""

import re
import string
import warnings
from enum import Enum


class Flavour(Enum):
    """Which expressions: those of regexp_table(5), extended POSIX, or those of pcre_table(5)."""

    POSIX = "regexp"
    PERL = "pcre"


_PUNCTUATION = re.escape(string.punctuation)
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": _PUNCTUATION, "space": "\\s", "upper": "A-Z",
    "word": "\\w", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
# What differs outside of brackets.
_ESCAPES = {
    Flavour.POSIX: {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"},
    Flavour.PERL: {"z": r"\Z", "Z": r"(?=\n?\Z)", "h": r"[ \t]", "H": r"[^ \t]", "R": r"(?:\r\n|[\n\r\f\v])"},
}
_TOGGLES = {
    Flavour.POSIX: {"i": re.IGNORECASE, "m": re.MULTILINE},
    Flavour.PERL: {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE},
}
_DEFAULTS = {Flavour.POSIX: re.IGNORECASE | re.DOTALL, Flavour.PERL: re.IGNORECASE | re.DOTALL}


def compile_expression(expression: str, flags: str, flavour: Flavour) -> re.Pattern[str]:
    """An expression for search(). flags: letters, each of which turns the default round. Raises ValueError."""
    options, anchored = _DEFAULTS[flavour], False
    for flag in flags:
        if flag in _TOGGLES[flavour]:
            options ^= _TOGGLES[flavour][flag]
        elif flavour is Flavour.PERL and flag == "A":
            anchored = True
        elif not (flavour is Flavour.PERL and flag == "X"):  # more errors are found: they all are, here
            known = "".join(_TOGGLES[flavour]) + ("A" if flavour is Flavour.PERL else "")
            raise ValueError(f"unknown flag {flag!r}: expected some of {known}")
    translated = _translate(expression, flavour)
    try:
        with warnings.catch_warnings():
            # "possible nested set": what Python may read differently one day is read as the others do today.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(rf"\A(?:{translated})" if anchored else translated, options)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the expression cannot be used: {error}") from None


def _translate(expression: str, flavour: Flavour) -> str:
    parts, at = [], 0
    while at < len(expression):
        char = expression[at]
        if char == "\\":
            escaped = expression[at + 1 : at + 2]
            if flavour is Flavour.PERL and escaped in ("Q", "E", "K", "G", "X", "C", "p", "P"):
                raise ValueError(f"\\{escaped} is not supported")
            parts.append(_ESCAPES[flavour].get(escaped, char + escaped))
            at += 2
        elif char == "[":
            bracket, at = _bracket(expression, at, flavour)
            parts.append(bracket)
        elif flavour is Flavour.PERL and re.match(r"\(\?<[A-Za-z_]", expression[at : at + 4]):
            parts.append("(?P<")
            at += 3
        else:
            parts.append(char)
            at += 1
    return "".join(parts)


def _bracket(expression: str, at: int, flavour: Flavour) -> tuple[str, int]:
    """A bracket expression that begins here, and where it ends."""
    parts, start = ["["], at
    at += 1
    if expression[at : at + 1] == "^":
        parts.append("^")
        at += 1
    first = True
    while at < len(expression):
        char = expression[at]
        named = re.compile(r"\[:(\^?)([a-z]+):\]").match(expression, at)
        if char == "]" and not first:
            return "".join([*parts, "]"]), at + 1
        if named:
            if named[1] or named[2] not in _CLASSES:
                raise ValueError(f"{named[0]} is not supported")
            parts.append(_CLASSES[named[2]])
            at = named.end()
        elif re.match(r"\[[.=]", expression[at : at + 2]):
            raise ValueError(f"{expression[at : at + 2]} inside of brackets is not supported")
        elif char == "\\" and flavour is Flavour.PERL:
            parts.append(expression[at : at + 2])
            at += 2
        else:
            # POSIX: a backslash is a character like any other here.
            parts.append("\\" + char if char in "\\[]&~|" else char)
            at += 1
        first = False
    raise ValueError(f"the bracket at character {start + 1} is not closed")
