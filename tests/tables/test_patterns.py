"""regexp: and pcre: tables."""

import pytest

from smtpgate.tables.expressions import Flavour
from smtpgate.tables.patterns import LONGEST_SUBJECT, parse_patterns

POSIX, PERL = Flavour.POSIX, Flavour.PERL


@pytest.mark.parametrize("flavour", Flavour)
@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("/spam/ REJECT", "a@spam.example", "REJECT"),
        ("/SPAM/ REJECT", "a@spam.example", "REJECT"),
        ("/SPAM/i REJECT", "a@spam.example", None),
        ("/SPAM/i REJECT", "a@SPAM.example", "REJECT"),
        ("/^a@/ OK\n/./ REJECT", "a@b.example", "OK"),
        ("/^a@/ OK\n/./ REJECT", "b@a@.example", "REJECT"),
        ("!/\\.example$/ REJECT", "a.test", "REJECT"),
        ("!/\\.example$/ REJECT", "a.example", None),
        ("! ! /x/ REJECT", "x", "REJECT"),
        ("|a/b| REJECT", "a/b", "REJECT"),
        ("/a\\/b/ REJECT", "a/b", "REJECT"),
        ("/^(.*)@(.*)$/ PREPEND X-Was: $2 $1", "u@h", "PREPEND X-Was: h u"),
        ("/^(.*)@(.*)$/ PREPEND X-Was: ${2}x$(1)y", "u@h", "PREPEND X-Was: hxuy"),
        ("/^(a)|(b)/ REJECT <$2>", "a", "REJECT <>"),
        ("/a/ REJECT 5$$", "a", "REJECT 5$"),
        ("if /^a/\n/b/ REJECT\nendif\n/c/ OK", "ab", "REJECT"),
        ("if /^a/\n/b/ REJECT\nendif\n/c/ OK", "bc", "OK"),
        ("if !/^a/\n/b/ REJECT\nendif", "ab", None),
        ("IF /a/\nif /b/\n/c/ REJECT\nendif\n/./ OK\nendif\n/./ DUNNO", "ab", "OK"),
        ("IF /a/\nif /b/\n/c/ REJECT\nendif\n/./ OK\nendif\n/./ DUNNO", "bc", "DUNNO"),
        ("if /a/\nif /b/\n/c/ REJECT\nendif\nendif\n/./ OK", "abc", "REJECT"),
        ("/[[:digit:]]{2}/ REJECT", "x42", "REJECT"),
        ("/[^[:alnum:]@.]/ REJECT", "x42", None),
        ("/[]x]/ REJECT", "]", "REJECT"),
        ("# only\n\n/a/ REJECT\n  twice\n", "a", "REJECT  twice"),
    ],
)
def test_what_is_found(flavour: Flavour, text: str, key: str, expected: str | None) -> None:
    table, problems = parse_patterns(text, flavour)
    assert problems == []
    assert table.find(key, True) == expected


@pytest.mark.parametrize(
    ("flavour", "text", "key", "expected"),
    [
        (POSIX, r"/[\d]/ REJECT", "5", None),  # POSIX: a backslash in brackets is a backslash
        (POSIX, r"/[\d]/ REJECT", "\\", "REJECT"),
        (PERL, r"/[\d]/ REJECT", "5", "REJECT"),
        (POSIX, r"/\<spam\>/ REJECT", "a spam b", "REJECT"),
        (POSIX, r"/\<spam\>/ REJECT", "aspam", None),
        (POSIX, "/a/!/b/ REJECT", "a", "REJECT"),
        (POSIX, "/a/!/b/ REJECT", "ab", None),
        (PERL, r"/(?<who>a+)@/ REJECT $1", "aa@b", "REJECT aa"),
        (PERL, r"/^a\z/ REJECT", "a", "REJECT"),
        (PERL, "/ a b /x REJECT", "ab", "REJECT"),
        (PERL, "/b/A REJECT", "ab", None),
        (PERL, "/(?>a+)b/ REJECT", "aab", "REJECT"),
        (PERL, r"/\b10-0-0-\d+\b/ REJECT", "host10-0-0-1", None),
    ],
)
def test_where_they_differ(flavour: Flavour, text: str, key: str, expected: str | None) -> None:
    table, problems = parse_patterns(text, flavour)
    assert problems == []
    assert table.find(key, True) == expected


@pytest.mark.parametrize("flavour", Flavour)
@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("/a/ OK\n/(/ OK", 2, "cannot be used"),
        ("/a", 1, "no closing /"),
        ("/a/", 1, "no result"),
        ("/a/zz OK", 1, "unknown flag 'z'"),
        ("spam REJECT", 1, "expected /expression/flags"),
        ("  /a/ OK", 1, "expected /expression/flags"),
        ("/a/ REJECT $1", 1, "no groups"),
        ("/(a)/ REJECT $2", 1, "1 groups"),
        ("/(a)/ REJECT $x", 1, "expected a number"),
        ("!/(a)/ REJECT $1", 1, "must not match"),
        ("/(.*)/ $1", 1, "must not depend"),
        ("/(.*)/ REJE$1 no", 1, "must not depend"),
        ("if /a/\n/b/ OK", 1, "no endif"),
        ("/b/ OK\nendif", 2, "no if"),
        ("if /a/ OK\nendif", 1, "too much behind an if"),
        ("if /a/\nendif x", 2, "too much behind an endif"),
        ("if /(/\n/a/ OK\nendif", 1, "cannot be used"),
        ("/[[:nonsense:]]/ OK", 1, "not supported"),
        ("/[[=a=]]/ OK", 1, "not supported"),
        ("/[a/ OK", 1, "not closed"),
    ],
)
def test_bad_lines(flavour: Flavour, text: str, line: int, said: str) -> None:
    _, problems = parse_patterns(text, flavour)
    assert [problem.line for problem in problems] == [line]
    assert said in problems[0].text


def test_parts_of_a_key_are_not_matched() -> None:
    table, _ = parse_patterns("/./ REJECT", POSIX)
    assert table.find("example.org", whole=False) is None


def test_what_strangers_write_is_matched_within_a_bound() -> None:
    table, _ = parse_patterns("/x$/ REJECT", POSIX)
    assert table.find("a" * (LONGEST_SUBJECT - 1) + "x", True) == "REJECT"
    assert table.find("a" * LONGEST_SUBJECT + "x", True) is None
