"""Expressions whose cost explodes are found, and no others."""

import itertools
import re
import time

import pytest

from smtpgate.tables.cost import explodes
from smtpgate.tables.expressions import Flavour, compile_expression

EXPLODING = [
    "(a+)+$",
    "(a*)*b",
    "a*a*b",
    "(a|ab|b)*c",
    "(ab|a|b)+$",
    r"(\w+\s?)+$",
    r"(.*,)*x",
    r"(.*?,){11}P",
    r"^([a-z0-9]+[-.]?)+$",
    r"\w*\d*x",
    ".*.*.*x",
    r"\s+\s+\s+$",
    "([^@]+)+@",
    "^([[:alnum:]]+)*!$",
    r"^(\S+\s*)+:$",
    r"^[\w.]+\.*[\w.]*\.*[\w.]+@",
    "(x+x+)+y",
    r"(\s*foo\s*)*$",
    r"^Subject: .*(\w+ ?)+!",
]

# Those of Postfix's manual pages and documents are among them.
HARMLESS = [
    "^(.*)-outgoing@(.*)$",
    "^(?!owner-).*-outgoing@(.*)",
    "[%!@].*[%!@]",
    r"^(|[^>].*)[[:space:]]*$",
    r"^Subject: +make money fast!",
    r"^To: *friend@public\.com",
    r"name=[^>]*\.(bat|com|exe|dll|vbs)",
    r'^Content-(Disposition|Type).*name\s*=\s*"?(.*(\.|=2E)(ade|adp|asp|bas|bat|chm|cmd|com|cpl|exe))(\?=)?"?\s*(;|$)',
    r"^[^@]+@[^@]+\.[a-z]{2,}$",
    r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"(dsl|dial|dyn|pool)[^.]*\d+[-.]\d+[-.]\d+[-.]\d+",
    r"^Received: .*from .*by .*with .*for .*;",
    "^Subject: .*make money.*fast",
    r"^([^,]*,)*x$",
    r"^(\.[a-z]+)*$",
    r"(\w+\.)+\w+$",
    r"^Subject:.*\s{7,}\S",
    r"[^[:print:]]{7}",
    r"(^|[^0-9.])([0-9]+\.){3}[0-9]+($|[^0-9.])",
    "a+b",
    "(a{400}){400}",
    "",
]


@pytest.mark.parametrize("expression", EXPLODING)
def test_what_explodes(expression: str) -> None:
    began = time.thread_time()
    assert explodes(compile_expression(expression, "", Flavour.PERL))
    assert time.thread_time() - began < 5, "finding it out must not explode itself"


@pytest.mark.parametrize("expression", HARMLESS)
def test_what_does_not(expression: str) -> None:
    assert explodes(compile_expression(expression, "", Flavour.PERL)) == ""


def test_what_is_slow_once_is_not_believed() -> None:
    """The machine may have been held up."""
    times = itertools.cycle([0.0, 1.0, 1.0, 1.0])  # before and after a search, every other one of which seems slow
    assert explodes(re.compile("a+b+c"), lambda: next(times)) == ""


def test_the_piece_that_repeats_is_told_and_the_clock_decides() -> None:
    assert explodes(re.compile("x(ab|a|b)*y")) == "ab"
    seconds = iter(range(10**6))
    assert explodes(re.compile("a+b+c"), lambda: float(next(seconds))) == "a"
