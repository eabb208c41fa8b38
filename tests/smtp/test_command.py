"""Command lines and their parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.smtp.command import (
    CommandError,
    MailParameters,
    parse_command,
    parse_mail_parameters,
    refuse_rcpt_parameters,
)


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
        command = parse_command(line)
    except CommandError:
        return
    assert line.endswith(b"\r\n")
    assert command.argument.isprintable() or not command.argument.isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", MailParameters()),
        (" SIZE=1000", MailParameters(size=1000)),
        (" size=0 body=8bitmime smtputf8", MailParameters("8BITMIME", True, 0)),
        (" BODY=7BIT", MailParameters("7BIT")),
        (" AUTH=<>", MailParameters()),
        (" AUTH=user+40example.org", MailParameters()),
    ],
)
def test_mail_parameters(text: str, expected: MailParameters) -> None:
    assert parse_mail_parameters(text) == expected


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
        (" RET=FULL", 555),
        (" XFOO", 555),
    ],
)
def test_mail_parameters_refused(text: str, code: int) -> None:
    with pytest.raises(CommandError) as caught:
        parse_mail_parameters(text)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, "5.5.4")


def test_rcpt_parameters() -> None:
    refuse_rcpt_parameters("")
    with pytest.raises(CommandError) as caught:
        refuse_rcpt_parameters(" NOTIFY=NEVER")
    assert caught.value.reply.code == 555
