"""The order in which Postfix looks keys up: access(5)."""

import pytest

from smtpgate.tables.keys import address_keys, domain_keys, mail_keys


@pytest.mark.parametrize(
    ("name", "dotted", "expected"),
    [
        ("mx.example.org", False, ["mx.example.org", "example.org", "org"]),
        ("mx.example.org", True, ["mx.example.org", ".example.org", ".org"]),
        ("localhost", False, ["localhost"]),
        ("", False, []),
        ("mx.example.org.", False, ["mx.example.org.", "example.org.", "org."]),
        ("192.0.2.1", False, ["192.0.2.1"]),
        ("[192.0.2.1]", False, ["[192.0.2.1]"]),
        (".", True, ["."]),
        ("a..b", False, ["a..b", ".b"]),
    ],
)
def test_domains(name: str, dotted: bool, expected: list[str]) -> None:
    keys = list(domain_keys(name, dotted=dotted))
    assert [key.text for key in keys] == expected
    assert [key.whole for key in keys] == [True, *[False] * (len(keys) - 1)][: len(keys)]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ["192.0.2.1", "192.0.2", "192.0", "192"]),
        ("2001:db8::1", ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]),
        ("::1", ["::1", ":"]),
    ],
)
def test_addresses(address: str, expected: list[str]) -> None:
    assert [key.text for key in address_keys(address)] == expected


@pytest.mark.parametrize(
    ("address", "delimiters", "dotted", "expected"),
    [
        ("u@b.example", "", False, ["u@b.example", "b.example", "example", "u@"]),
        ("u@b.example", "", True, ["u@b.example", "b.example", ".example", "u@"]),
        ("u+x@b.example", "", False, ["u+x@b.example", "b.example", "example", "u+x@"]),
        ("u+x@b.example", "+", False, ["u+x@b.example", "u@b.example", "b.example", "example", "u+x@", "u@"]),
        ("u-x+y@b.example", "+-", False, ["u-x+y@b.example", "u@b.example", "b.example", "example", "u-x+y@", "u@"]),
        ("+x@b.example", "+", False, ["+x@b.example", "b.example", "example", "+x@"]),
        ("owner-list@b", "-", False, ["owner-list@b", "b", "owner-list@"]),
        ("list-request@b", "-", False, ["list-request@b", "b", "list-request@"]),
        ("double-bounce@b", "-", False, ["double-bounce@b", "b", "double-bounce@"]),
        ('"a@b"@c', "", False, ['"a@b"@c', "c", '"a@b"@']),
        ("u@[192.0.2.1]", "", False, ["u@[192.0.2.1]", "[192.0.2.1]", "u@"]),
    ],
)
def test_mail_addresses(address: str, delimiters: str, dotted: bool, expected: list[str]) -> None:
    keys = list(mail_keys(address, address.rpartition("@")[2], delimiters=delimiters, dotted=dotted))
    assert [key.text for key in keys] == expected
    assert [key.whole for key in keys] == [True, *[False] * (len(keys) - 1)]
