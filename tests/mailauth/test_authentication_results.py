import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.mailauth.authentication_results import MethodResult, format_field, without_forged
from smtpgate.mailauth.message import Message
from tests.growth import assert_linear

OURS = "mx.example.org"


def test_one_line_for_each_method() -> None:
    results = [
        MethodResult("spf", "pass", None, (("smtp.mailfrom", "ann@example.net"),)),
        MethodResult(
            "dkim",
            "fail",
            "body has been altered",
            (("header.d", "example.net"), ("header.s", "sel"), ("header.b", "ab/cd+e=")),
        ),
    ]
    assert format_field(OURS, results) == (
        b"Authentication-Results: mx.example.org;\r\n"
        b"\tspf=pass smtp.mailfrom=ann@example.net;\r\n"
        b'\tdkim=fail reason="body has been altered" header.d=example.net\r\n'
        b'\theader.s=sel header.b="ab/cd+e="\r\n'
    )


def test_no_results() -> None:
    assert format_field(OURS, []) == b"Authentication-Results: mx.example.org; none\r\n"


WORD = re.compile(r'[a-z.]+=(?:"((?:[^"\\]|\\.)*)"|([^ ";()]+))')
TEXTS = st.text(max_size=400) | st.text('ab@."\\\r\n;() é\0', max_size=40)


@given(st.lists(st.tuples(st.none() | TEXTS, st.lists(TEXTS, max_size=4)), max_size=4))
def test_nothing_can_be_injected(said: list[tuple[str | None, list[str]]]) -> None:
    results = [
        MethodResult("spf", "none", reason, tuple(("smtp.mailfrom", value) for value in values))
        for reason, values in said
    ]
    field = format_field(OURS, results)
    lines = field.decode("ascii").removesuffix("\r\n").split("\r\n")
    assert all(line.startswith("\t") for line in lines[1:])
    assert all(line.lstrip("\t").isprintable() and len(line) < 998 for line in lines)
    # Read back, word by word, it says what was said.
    found = [(found[1], found[2]) for found in WORD.finditer(" ".join(line.lstrip("\t") for line in lines[1:]))]
    read = [plain or re.sub(r"\\(.)", r"\1", quoted or "") for quoted, plain in found]
    wanted: list[str] = []
    for reason, values in said:
        wanted += ["none", *([reason] if reason else []), *values]
    assert read == [re.sub("[^ -~]", "?", value[:320]) for value in wanted]


def cleaned(content: bytes) -> bytes:
    message = Message(content)
    return b"".join(message.content.with_head(without_forged(message, OURS)))


def kept(*fields: str, body: str = "body\r\n") -> bool:
    """Whether the fields are still there; everything else must be."""
    before, after = "Received: x\r\n\tby y\r\n", "From: a\r\nno field\r\n"
    others = f"{before}{after}\r\n{body}".encode()
    content = f"{before}{''.join(fields)}{after}\r\n{body}".encode()
    left = cleaned(content)
    assert left in (content, others)
    return left == content


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        (" mx.example.org; spf=pass", False),
        ("mx.example.org;spf=pass", False),
        (" MX.Example.ORG; none", False),
        (" mx.example.org", False),
        (" mx.example.org.; none", False),
        (" mx.example.org 1; none", False),
        ("\r\n\tmx.example.org\r\n\t;\r\n\tspf=pass", False),
        (" (x) mx.example.org (y); none", False),
        (" (a (b) \\) c)(d)\r\n mx.example.org; none", False),
        (' "mx.example.org"; none', False),
        (' "mx.ex\\ample.org"; none', False),
        (" mx.example.org spf=pass", False),
        (" mx.example.org=pass; none", False),
        (" (unfinished mx.example.org; none", False),
        (' "unfinished mx.example.org; none', False),
        (" ;mx.example.org; none", False),
        (" (" + "x" * 2000 + ") mx.example.org; none", False),
        (" other.example mx.example.org; none", False),
        (" (" + "x" * 2000 + ") other.example; spf=pass smtp.helo=mx.example.org", False),
        (" other.example; spf=pass", True),
        (" other.example; spf=pass smtp.mailfrom=a@mx.example.org", True),
        (" other.example 1; spf=pass smtp.helo=mx.example.org", True),
        (" a.mx.example.org; spf=pass", True),
        (" mx.example.org.evil.example; spf=pass", True),
        (" (mx.example.org) other.example; none", True),
        (" spf=pass (sender IP is 192.0.2.1)", True),
        (" (((", True),
        # so many parentheses are not read
        (" " + "()" * 20 + " other.example; spf=pass smtp.helo=mx.example.org", True),
        (" " + "()" * 200 + " other.example; spf=pass smtp.helo=mx.example.org", False),
        (" " + "(" * 200 + ")" * 200 + " mx.example.org; none", False),
    ],
)
@pytest.mark.parametrize("name", ["Authentication-Results", "AUTHENTICATION-results \t"])
def test_forged_results(name: str, value: str, stays: bool) -> None:
    assert kept(f"{name}:{value}\r\n") is stays


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        (" pass client-ip=192.0.2.1; receiver=mx.example.org", False),
        (" pass receiver=MX.EXAMPLE.ORG; identity=mailfrom", False),
        (' pass receiver = "mx.example.org"', False),
        (' pass receiver="mx.exam\\ple.org"', False),
        (" pass (c) receiver(c)\r\n\t=(c (d)) mx.example.org.", False),
        (" pass receiver=other.example", True),
        (" pass receiver=mx.example.org.evil.example", True),
        (" pass helo=mx.example.org; receiver=other.example", True),
        (" pass (mx.example.org: receiver)", True),
        (" pass helo=mx.example.org" + " receiver" * 20, True),
        (" pass" + " receiver" * 200 + "=mx.example.org", False),
        (" pass receiver" + "()" * 200 + "=mx.example.org", False),
    ],
)
def test_forged_received_spf(value: str, stays: bool) -> None:
    assert kept(f"Received-SPF:{value}\r\n") is stays


def test_other_fields_and_the_body_stay() -> None:
    assert kept("X-Authentication-Results: mx.example.org; none\r\n", "ARC-Authentication-Results: mx.example.org\r\n")
    assert kept(body="Authentication-Results: mx.example.org; none\r\n")


def test_of_very_many_fields_that_name_us_the_last_are_not_read() -> None:
    fields = [f"Authentication-Results: other.example; none (mx.example.org {number})\r\n" for number in range(120)]
    before, after = b"".join(map(str.encode, fields)), b"Authentication-Results: other.example; none\r\n\r\n"
    assert cleaned(before + after) == b"".join(map(str.encode, fields[:100])) + after


def test_what_we_write_is_ours() -> None:
    assert not kept(format_field(OURS, [MethodResult("spf", "pass")]).decode())


FIELDS = st.lists(st.text(": \t\nab()", max_size=12).map(lambda text: text.replace("\n", "\r\n").encode()), max_size=8)


@given(FIELDS)
def test_nothing_else_is_changed(lines: list[bytes]) -> None:
    content = b"\r\n".join(lines)
    message = Message(content)
    assert b"".join(field.raw for field in message.fields) == message.header
    forged = b"Authentication-Results: mx.example.org; none\r\nTo: x\r\n" + content
    assert cleaned(forged) == b"To: x\r\n" + content


@pytest.mark.parametrize("piece", ["(", "()", "\\", '"', "receiver", "receiver ", "receiver=("])
@pytest.mark.parametrize("name", ["Authentication-Results", "Received-SPF"])
def test_eight_times_the_field_is_not_64_times_the_work(name: str, piece: str) -> None:
    small, large = (
        Message(f"{name}: {piece * (length // len(piece))}{OURS}\r\n\r\n".encode()) for length in (50_000, 400_000)
    )
    assert small.fields
    assert large.fields  # they are parsed once, and before
    assert_linear(lambda: without_forged(small, OURS), lambda: without_forged(large, OURS))
