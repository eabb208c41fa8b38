"""hash: and its like: what postmap(1) reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.tables.files import FILE_TYPES, parse_table
from smtpgate.tables.indexed import parse_indexed


def results(text: str, *keys: str) -> list[str | None]:
    table, problems, _ = parse_indexed(text)
    assert problems == []
    return [table.find(key, whole=True) for key in keys]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a OK\n", "a", "OK"),
        ("a OK", "a", "OK"),
        ("a\tREJECT  no  mail \r\n", "a", "REJECT  no  mail"),
        ("A.Example OK\n", "a.example", "OK"),
        ("a.example OK\n", "A.EXAMPLE", "OK"),
        ("# a OK\n\n   \n  # b\nb OK\n", "b", "OK"),
        ("a REJECT no\n  mail\n\tfor you\nb OK\n", "a", "REJECT no  mail\tfor you"),
        ("a REJECT no\n# between\n\n mail\n", "a", "REJECT no mail"),
        ('"a b"@example.org OK\n', '"a b"@example.org', "OK"),
        ("a\\ b OK\n", "a\\ b", "OK"),
        ("bücher.example OK\n", "xn--bcher-kva.example", "OK"),
        ("info@bücher.example OK\n", "info@xn--bcher-kva.example", "OK"),
        (".bücher.example OK\n", ".xn--bcher-kva.example", "OK"),
        ("a OK\n", "b", None),
        ("", "a", None),
    ],
)
def test_what_is_found(text: str, key: str, expected: str | None) -> None:
    assert results(text, key) == [expected]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("ok OK\nalone\n", 2, "expected a key, a blank and a result"),
        ("alone   \n", 1, "expected a key"),
        ("  a OK\n", 1, "must not begin with a blank"),
        ('a OK\n\n# x\n"half OK\n', 4, "half a quotation"),
    ],
)
def test_bad_lines(text: str, line: int, said: str) -> None:
    _, problems, _ = parse_indexed(text)
    assert [problem.line for problem in problems] == [line]
    assert said in problems[0].text


def test_a_key_that_stands_there_twice_counts_once() -> None:
    table, problems, warnings = parse_indexed("a OK\nb OK\nA REJECT\n")
    assert (table.find("a", True), problems) == ("OK", [])
    assert [(warning.line, "line 1" in warning.text) for warning in warnings] == [(3, True)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["192.0.2.1", "10", "2001:db8", "2001:db8::1"], False),
        (["192.0.2.1", "example.org"], True),
        (["unknown"], True),
        (["beef"], False),
    ],
)
def test_whether_names_can_be_found_in_it(keys: list[str], expected: bool) -> None:
    table, _, _ = parse_indexed("".join(f"{key} OK\n" for key in keys))
    assert table.has_names is expected


@given(st.sampled_from(FILE_TYPES), st.text(), st.text())
def test_no_text_makes_it_stumble(kind: str, text: str, key: str) -> None:
    read = parse_table(kind, text)
    assert all(problem.line >= 1 for problem in (*read.problems, *read.warnings))
    read.table.find(key, True)
    read.table.find(key, False)


@given(st.text(st.sampled_from("/ab!if end\\[](){}^$1*+?.:\n\t alph-"), max_size=60), st.text(max_size=20))
def test_no_pattern_makes_it_stumble(text: str, key: str) -> None:
    for kind in ("regexp", "pcre", "cidr"):
        parse_table(kind, text).table.find(key, True)
