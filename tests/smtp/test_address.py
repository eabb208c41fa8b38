"""Envelope addresses: what RFC 5321 writes is taken, everything else is refused."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.relay.wire import checked_address
from smtpgate.smtp.address import AddressError, is_literal_or_name, parse_path

TAKEN = [
    # written, text, local, domain, rest
    ("<user@example.org>", "user@example.org", "user", "example.org", ""),
    ("<User@EXAMPLE.org> SIZE=1", "User@EXAMPLE.org", "User", "example.org", " SIZE=1"),
    ("<a.b+c=d@x.example>", "a.b+c=d@x.example", "a.b+c=d", "x.example", ""),
    ("<>", "", "", "", ""),
    ("<> BODY=7BIT", "", "", "", " BODY=7BIT"),
    ("<postmaster>", "postmaster", "postmaster", "", ""),
    ("<PostMaster>", "PostMaster", "PostMaster", "", ""),
    ('<"a b"@example.org>', '"a b"@example.org', "a b", "example.org", ""),
    ('<"a\\"b\\\\"@example.org>', '"a\\"b\\\\"@example.org', 'a"b\\', "example.org", ""),
    ('<"<>@"@example.org>', '"<>@"@example.org', "<>@", "example.org", ""),
    ("<u@[192.0.2.1]>", "u@[192.0.2.1]", "u", "[192.0.2.1]", ""),
    ("<u@[IPv6:2001:DB8::1]>", "u@[IPv6:2001:DB8::1]", "u", "[IPv6:2001:db8::1]", ""),
    ("<u@[ipv6:::1]>", "u@[ipv6:::1]", "u", "[IPv6:::1]", ""),
    ("<@a.example,@b.example:u@c.example>", "u@c.example", "u", "c.example", ""),
    ("<u@my_host.example>", "u@my_host.example", "u", "my_host.example", ""),
    ("<грета@почта.рф>", "грета@почта.рф", "грета", "xn--80a1acny.xn--p1ai", ""),
    ("<u@bücher.example>", "u@bücher.example", "u", "xn--bcher-kva.example", ""),
    (f"<{'l' * 255}@example.org>", f"{'l' * 255}@example.org", "l" * 255, "example.org", ""),
]


@pytest.mark.parametrize(("written", "text", "local", "domain", "rest"), TAKEN)
def test_taken(written: str, text: str, local: str, domain: str, rest: str) -> None:
    address, behind = parse_path(written)
    assert (address.text, address.local, address.domain, behind) == (text, local, domain, rest)


REFUSED = [
    "",
    "user@example.org",
    "<user@example.org",
    "user@example.org>",
    "<user>",
    "<user@>",
    "<@example.org>",
    "<us er@example.org>",
    "<user@exam ple.org>",
    "<user@example.org>SIZE=1",
    "<user..name@example.org>",
    "<.user@example.org>",
    "<user.@example.org>",
    "<user@example..org>",
    "<user@192.0.2.1>",
    "<user@12345>",
    "<user@-example.org>",
    "<user@example.org.>",
    "<a@b@example.org>",
    "<user(comment)@example.org>",
    "<user@example.org(comment)>",
    "<Name <user@example.org>>",
    '<"unclosed@example.org>',
    '<"a\rb"@example.org>',
    '<"a\nb"@example.org>',
    '<"a\0b"@example.org>',
    "<user\r\nDATA@example.org>",
    "<user@example.org\r\n>",
    "<user\0@example.org>",
    "<=?utf-8?q?x=0d=0aDATA?=@c.d e>",
    "<user@[192.0.2.256]>",
    "<user@[192.0.2.1>",
    "<user@[IPv6:1:2]>",
    "<user@[tag:content]>",
    "<user@" + "a" * 64 + ".example>",
    "<user@" + "a.a" * 100 + ">",
    f"<{'l' * 256}@example.org>",
    "<user@xn\u2028.example>",
    "<u@\u0378.example>",
    "<us\x85er@example.org>",
    '<"us\x9b1mer"@example.org>',
    "<us\xa0er@example.org>",
    "<user@ex\x80ample.org>",
    "<@a.example:>",
    "<<>>",
]


@pytest.mark.parametrize("written", REFUSED)
def test_refused(written: str) -> None:
    with pytest.raises(AddressError):
        parse_path(written)


def test_an_encoded_word_stays_what_it_is() -> None:
    """It is a legal atom, and it is never decoded: aiosmtpd's parser would find CR LF in it."""
    address, _ = parse_path("<=?utf-8?q?x=0d=0aDATA?=@c.example>")
    assert address.text == "=?utf-8?q?x=0d=0aDATA?=@c.example"


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for written in (text, f"<{text}>", f"<{text}@example.org>", f"<user@{text}>"):
        try:
            address, _ = parse_path(written)
        except AddressError:
            continue
        # Whatever is taken can be put into a command line for the downstream.
        assert checked_address(address.text) == address.text
        assert "\0" not in address.local


@given(
    st.text(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=40),
    st.lists(st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20), min_size=1, max_size=5),
)
def test_every_dot_atom_is_taken(local: str, labels: list[str]) -> None:
    domain = ".".join([*labels, "example"])  # RFC 1123 §2.1: no name ends in digits
    address, rest = parse_path(f"<{local}@{domain}>")
    assert (address.local, address.domain, rest) == (local, domain, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mx.example.org", True),
        ("localhost", True),
        ("[192.0.2.1]", True),
        ("[IPv6:::1]", True),
        ("[192.0.2.1", False),
        ("[]", False),
        ("a..b", False),
        ("a(b)", False),
        ("", False),
    ],
)
def test_literal_or_name(text: str, expected: bool) -> None:
    assert is_literal_or_name(text) is expected
