"""DSN's parameters (RFC 3461): what is taken, what is not, and that nothing hides in xtext."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.smtp import dsn

VALUES = [
    (dsn.ret, "FULL", True),
    (dsn.ret, "hdrs", True),
    (dsn.ret, "HEADERS", False),
    (dsn.ret, "", False),
    (dsn.ret, None, False),
    (dsn.envid, "QQ314159", True),
    (dsn.envid, "a+20b+3Dc+2B", True),
    (dsn.envid, "x" * 100, True),
    (dsn.envid, "x" * 101, False),
    (dsn.envid, None, False),
    (dsn.envid, "a+2", False),
    (dsn.envid, "a+2g", False),
    (dsn.envid, "a+3d", False),  # hexadecimal digits are upper case
    (dsn.envid, "a=b", False),
    (dsn.envid, "a b", False),
    (dsn.envid, "a+0D+0Ab", False),
    (dsn.envid, "a+00", False),
    (dsn.envid, "a+7F", False),
    (dsn.envid, "a+C3", False),
    (dsn.envid, "é", False),
    (dsn.notify, "NEVER", True),
    (dsn.notify, "never", True),
    (dsn.notify, "SUCCESS,FAILURE,DELAY", True),
    (dsn.notify, "delay", True),
    (dsn.notify, "NEVER,SUCCESS", False),
    (dsn.notify, "SUCCESS,NEVER", False),
    (dsn.notify, "NEVER,NEVER", False),
    (dsn.notify, "SUCCESS,", False),
    (dsn.notify, ",", False),
    (dsn.notify, "ALWAYS", False),
    (dsn.notify, "", False),
    (dsn.notify, None, False),
    (dsn.orcpt, "rfc822;you@example.org", True),
    (dsn.orcpt, "RFC822;you+2Btag@example.org", True),
    (dsn.orcpt, "x-local;you", True),
    (dsn.orcpt, "utf-8;\\x{E9}va@example.org", True),
    (dsn.orcpt, "rfc822;" + "x" * 493, True),
    (dsn.orcpt, "rfc822;" + "x" * 494, False),
    (dsn.orcpt, "rfc822;", False),
    (dsn.orcpt, ";you@example.org", False),
    (dsn.orcpt, "you@example.org", False),
    (dsn.orcpt, "rfc 822;you@example.org", False),
    (dsn.orcpt, "rfc822;you+tag@example.org", False),
    (dsn.orcpt, "rfc822;you@example.org+0D+0AX:+20y", False),
    (dsn.orcpt, "utf-8;éva@example.org", False),
    (dsn.orcpt, None, False),
    (partial(dsn.orcpt, smtputf8=True), "utf-8;éva@example.org", True),
    (partial(dsn.orcpt, smtputf8=True), "UTF-8;éva@example.org", True),
    (partial(dsn.orcpt, smtputf8=True), "rfc822;éva@example.org", False),
    (partial(dsn.orcpt, smtputf8=True), "utf-8;éva\x85", False),
    (partial(dsn.orcpt, smtputf8=True), "utf-8;éva+0A", False),
]


@pytest.mark.parametrize(("parse", "value", "is_taken"), VALUES)
def test_values(parse, value, is_taken):
    if parse is dsn.orcpt:
        parse = partial(dsn.orcpt, smtputf8=False)
    if is_taken:
        assert parse(value) == value
    else:
        with pytest.raises(ValueError, match="expected"):
            parse(value)


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_every_printable_text_can_be_said_in_xtext(text):
    xtext = "".join(c if c.isalnum() else f"+{ord(c):02X}" for c in text)
    assert dsn.envid(xtext) == xtext


@given(st.text(max_size=40))
def test_whatever_is_taken_is_printable_ascii(text):
    try:
        taken = dsn.envid(text)
    except ValueError:
        return
    assert taken.isascii() and taken.isprintable() and not {" ", "="} & set(taken)
