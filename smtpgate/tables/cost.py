"""Regular expressions whose cost explodes: tried on subjects that are made for that, until one takes too long.

Python's engine goes back and tries again, as Perl's does: where a text can be divided among repetitions in many ways,
it tries them all before it says that nothing matches. Each repetition is given more and more of what it repeats, and at
the end something that does not fit. What is slow has then been seen to be slow; an expression that hides its cost from
these subjects is not found.
"""

import re
import time
import warnings
from collections.abc import Callable, Iterator

# Private, but nothing else tells what an expression is made of.
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

# Characters, and seconds. With so few a good expression takes microseconds, and a quadratic one a millisecond; a cubic
# one takes forty, and more than two seconds with the 1000 characters of a header field.
_LONGEST = 250
_SLOW = 0.008
_BELIEVED = 3
_REPEATS = (code.MAX_REPEAT, code.MIN_REPEAT)
# So many repetitions are as good as any number.
_MANY = 8
_MOST_PUMPS = 24
_ENDS = ("!", " ", "", '"', "a", "\n\n")
_CHARACTERS = "a0 -.@,:;/_<\"'([=!\n\tA"


def explodes(pattern: re.Pattern[str], clock: Callable[[], float] = time.thread_time) -> str:
    """The part of a repetition that many of take too long; "" if none does.

    clock: seconds of computing, whatever else the machine does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as when it was compiled
        tree = parser.parse(pattern.pattern, pattern.flags)
    if _repetitions(tree) < 2:  # nothing to divide anything among
        return ""
    pumps = dict.fromkeys(pump for pump in _pumps(tree, "") if pump[1])
    for before, piece in list(pumps)[:_MOST_PUMPS]:
        end = next((end for end in _ENDS if not _fits(pattern, before, 3 * piece + end)), None)
        if end is not None and _is_slow(pattern, before, piece, end, clock):
            return piece
    return ""


def _fits(pattern: re.Pattern[str], before: str, rest: str) -> bool:
    """Whether a match begins before the rest does, or with it."""
    found = pattern.search(before + rest)
    return found is not None and found.start() <= len(before)


def _is_slow(pattern: re.Pattern[str], before: str, piece: str, end: str, clock: Callable[[], float]) -> bool:
    times = 4
    while times * len(piece) <= _LONGEST:
        subject = before + times * piece + end
        # Time that another machine on the same host takes may seem to be ours: what is slow is so again.
        if all(_seconds(pattern, subject, clock) > _SLOW for _ in range(_BELIEVED)):
            return True
        times += max(1, times // 8)  # small steps: the cost may double with each
    return False


def _seconds(pattern: re.Pattern[str], subject: str, clock: Callable[[], float]) -> float:
    began = clock()
    pattern.search(subject)
    return clock() - began


def _repetitions(tree: Any) -> int:
    """How many parts may be repeated or chosen, each within others counted too."""
    count = 0
    for op, argument in tree:
        count += op in _REPEATS or op is code.BRANCH
        count += sum(_repetitions(part) for part in _parts(op, argument))
    return count


def _parts(op: Any, argument: Any) -> list[Any]:
    """The expressions within an expression, but those that only look."""
    if op in _REPEATS:
        return [argument[2]]
    if op is code.SUBPATTERN:
        return [argument[3]]
    return list(argument[1]) if op is code.BRANCH else []


def _pumps(tree: Any, before: str) -> Iterator[tuple[str, str]]:
    """For each part that may be repeated: what must stand before it, and what it repeats."""
    for op, argument in tree:
        for part in _parts(op, argument):
            if op in _REPEATS and argument[1] >= _MANY:
                yield from ((before, piece) for piece in _pieces(part))
            yield from _pumps(part, before)
        before += _sample([(op, argument)])


def _pieces(tree: Any) -> Iterator[str]:
    """Texts that an expression matches: one, and one for each choice at its beginning."""
    yield _sample(tree)
    for op, argument in list(tree)[:1]:
        for part in _parts(op, argument):
            if op in (code.BRANCH, code.SUBPATTERN):
                yield from _pieces(part)


def _sample(tree: Any) -> str:
    """A text that an expression matches, most often."""
    text = ""
    for op, argument in tree:
        if op is code.LITERAL:
            text += chr(argument)
        elif op in (code.NOT_LITERAL, code.IN, code.ANY):
            text += _character(op, argument)
        elif op in _REPEATS:
            text += _sample(argument[2]) * min(max(argument[0], 1), _LONGEST)
        elif parts := _parts(op, argument):
            text += _sample(parts[0])
        text = text[:_LONGEST]
    return text


def _character(op: Any, argument: Any) -> str:
    """One of a class, "" if it is none of the usual."""
    if op is code.ANY:
        return "a"
    if op is code.NOT_LITERAL:
        return next(char for char in _CHARACTERS if ord(char) != argument)
    negated = argument[0][0] is code.NEGATE
    own = [chr(value if kind is code.LITERAL else value[0]) for kind, value in argument
           if kind in (code.LITERAL, code.RANGE)]  # fmt: skip
    usual = [*_CHARACTERS] if negated else [*own, *_CHARACTERS]
    return next((char for char in usual if _is_in(char, argument[negated:]) is not negated), "")


_CATEGORIES = {
    code.CATEGORY_DIGIT: r"\d", code.CATEGORY_NOT_DIGIT: r"\D", code.CATEGORY_SPACE: r"\s",
    code.CATEGORY_NOT_SPACE: r"\S", code.CATEGORY_WORD: r"\w", code.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def _is_in(char: str, members: Any) -> bool:
    for kind, value in members:
        if kind is code.LITERAL and ord(char) == value:
            return True
        if kind is code.RANGE and value[0] <= ord(char) <= value[1]:
            return True
        if kind is code.CATEGORY and re.match(_CATEGORIES[value], char):
            return True
    return False
