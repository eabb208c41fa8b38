"""Command lines and their parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.relay.downstream import RcptParameters
from smtpgate.smtp.command import (
    CommandError,
    MailParameters,
    parse_chunk,
    parse_command,
    parse_mail_parameters,
    parse_rcpt_parameters,
)

ALL = {"8BITMIME", "DSN", "SMTPUTF8"}


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (b"QUIT\r\n", "QUIT", ""),
        (b"ehlo  mx.example \r\n", "EHLO", "mx.example"),
        (b"MAIL FROM:<a@b> SIZE=1\r\n", "MAIL", "FROM:<a@b> SIZE=1"),
        ("VRFY Ä\r\n".encode(), "VRFY", "Ä"),
        (b"\r\n", "", ""),
    ],
)
def test_parsed(line: bytes, verb: str, argument: str) -> None:
    assert parse_command(line) == (verb, argument)


@pytest.mark.parametrize(
    "line",
    [
        b"QUIT\n",
        b"QUIT\r\r\n",
        b"NOOP \0\r\n",
        b"NOOP\tx\r\n",
        b"NOOP \x7f\r\n",
        "NOOP \x9b1m\r\n".encode(),
        b"NOOP \xff\r\n",
        "QÜIT\r\n".encode(),
        b"NOOP " + b"x" * 3000 + b"\r\n",
    ],
)
def test_refused(line: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(line)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (500, "5.5.2")


@given(st.binary(max_size=3000))
def test_no_bytes_break_it(line: bytes) -> None:
    try:
        _, argument = parse_command(line)
    except CommandError:
        return
    assert line.endswith(b"\r\n")
    assert argument.isprintable() or not argument.isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", MailParameters()),
        (" SIZE=1000", MailParameters(size=1000)),
        (" size=0 body=8bitmime smtputf8", MailParameters("8BITMIME", True, 0)),
        (" BODY=7BIT", MailParameters("7BIT")),
        (" AUTH=<>", MailParameters()),
        (" AUTH=user+40example.org", MailParameters()),
        (" RET=HDRS ENVID=a+20b", MailParameters(ret="HDRS", envid="a+20b")),
    ],
)
def test_mail_parameters(text: str, expected: MailParameters) -> None:
    assert parse_mail_parameters(text, ALL) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (" SIZE", 501),
        (" SIZE=", 501),
        (" SIZE=-1", 501),
        (" SIZE=\N{ARABIC-INDIC DIGIT ONE}", 501),
        (" SIZE=" + "9" * 21, 501),
        (" SIZE=1 SIZE=2", 501),
        (" BODY=9BIT", 501),
        (" BODY", 501),
        (" SMTPUTF8=1", 501),
        (" AUTH", 501),
        (" X=a=b", 501),
        (" =", 501),
        (" -X=1", 501),
        (" RET", 501),
        (" RET=ALL", 501),
        (" ENVID=a+0Ab", 501),
        (" NOTIFY=NEVER", 555),
        (" XFOO", 555),
    ],
)
def test_mail_parameters_refused(text: str, code: int) -> None:
    with pytest.raises(CommandError) as caught:
        parse_mail_parameters(text, ALL)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, "5.5.4")


def test_requiretls_is_known_in_tls_only() -> None:
    assert parse_mail_parameters(" REQUIRETLS", ALL, in_tls=True) == MailParameters(requiretls=True)
    for text, in_tls, code in ((" REQUIRETLS", False, 555), (" REQUIRETLS=1", True, 501)):
        with pytest.raises(CommandError) as caught:
            parse_mail_parameters(text, ALL, in_tls=in_tls)
        assert caught.value.reply.code == code


@pytest.mark.parametrize("text", [" BODY=8BITMIME", " SMTPUTF8", " RET=FULL", " ENVID=x"])
def test_mail_parameters_that_were_not_offered(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_mail_parameters(text, ())
    assert caught.value.reply.code == 555


RCPT_PARAMETERS = [
    ("", RcptParameters()),
    (" NOTIFY=SUCCESS,DELAY", RcptParameters("SUCCESS,DELAY")),
    (" orcpt=rfc822;a+2Bb@example.org notify=never", RcptParameters("never", "rfc822;a+2Bb@example.org")),
]


@pytest.mark.parametrize(("text", "expected"), RCPT_PARAMETERS)
def test_rcpt_parameters(text: str, expected: RcptParameters) -> None:
    assert parse_rcpt_parameters(text, {"DSN"}, smtputf8=False) == expected


@pytest.mark.parametrize(
    ("text", "offered", "smtputf8", "code"),
    [
        (" NOTIFY=NEVER", set(), False, 555),
        (" ORCPT=rfc822;a@example.org", set(), False, 555),
        (" SIZE=1", {"DSN"}, False, 555),
        (" NOTIFY", {"DSN"}, False, 501),
        (" NOTIFY=NEVER NOTIFY=NEVER", {"DSN"}, False, 501),
        (" NOTIFY=SOON", {"DSN"}, False, 501),
        (" ORCPT=a@example.org", {"DSN"}, False, 501),
        (" ORCPT=utf-8;\N{LATIN SMALL LETTER E WITH ACUTE}", {"DSN"}, False, 501),
        (" ORCPT=rfc822;\N{LATIN SMALL LETTER E WITH ACUTE}", {"DSN"}, True, 501),
    ],
)
def test_rcpt_parameters_refused(text: str, offered: set[str], smtputf8: bool, code: int) -> None:
    with pytest.raises(CommandError) as caught:
        parse_rcpt_parameters(text, offered, smtputf8=smtputf8)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, "5.5.4")


@pytest.mark.parametrize("text", ["6", "6 LAST", "6 last", "0", "06  LAST", "9" * 20])
def test_chunks(text: str) -> None:
    assert parse_chunk(text) == (int(text.split()[0]), "last" in text.lower())


@pytest.mark.parametrize(
    "text", ["", "LAST", "-1", "+1", "1 LAST 2", "1LAST", "1 FIRST", "0x10", "1.0", "9" * 21, "\N{SUPERSCRIPT TWO}"]
)
def test_chunks_refused(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_chunk(text)
    assert caught.value.reply.code == 521
