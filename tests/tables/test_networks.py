"""cidr: tables."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.tables.networks import parse_networks


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("192.0.2.0/24 REJECT", "192.0.2.7", "REJECT"),
        ("192.0.2.0/24 REJECT", "192.0.3.7", None),
        ("192.0.2.7 OK\n192.0.2.0/24 REJECT", "192.0.2.7", "OK"),
        ("192.0.2.0/24 REJECT\n192.0.2.7 OK", "192.0.2.7", "REJECT"),
        ("2001:db8::/32 REJECT go", "2001:db8:1::1", "REJECT go"),
        ("[2001:db8::]/32 REJECT", "2001:db8:1::1", "REJECT"),
        ("::/0 REJECT", "192.0.2.7", None),
        ("!192.0.2.0/24 REJECT", "198.51.100.1", "REJECT"),
        ("!192.0.2.0/24 REJECT", "192.0.2.7", None),
        ("if 10.0.0.0/8\n10.1.0.0/16 OK\nendif\n10.0.0.0/8 REJECT", "10.1.0.1", "OK"),
        ("if !10.0.0.0/8\n0.0.0.0/0 OK\nendif\n10.0.0.0/8 REJECT", "10.1.0.1", "REJECT"),
        ("if 10.0.0.0/8\nif 10.1.0.0/16\n0.0.0.0/0 OK\nendif\n0.0.0.0/0 DUNNO\nendif", "10.2.0.1", "DUNNO"),
        ("0.0.0.0/0 REJECT", "example.org", None),
        ("0.0.0.0/0 REJECT", "1.example.org", None),
        ("# x\n\n192.0.2.0/24 REJECT\n  no\n", "192.0.2.1", "REJECT  no"),
        ("fe80::/10 REJECT", "fe80::1%eth0", "REJECT"),
    ],
)
def test_what_is_found(text: str, key: str, expected: str | None) -> None:
    table, problems = parse_networks(text)
    assert problems == []
    assert table.find(key, True) == expected


addresses = st.ip_addresses()
# Few high bits, so that they meet.
networks = st.builds(
    lambda address, length: ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False),
    addresses,
    st.sampled_from([0, 1, 2, 3, 8, 32, 128]),
)


@given(st.lists(networks, max_size=20), addresses)
def test_the_shortcut_for_tables_without_conditions_finds_what_a_walk_does(listed: list, address: object) -> None:
    lines = [f"{network} REJECT {number}" for number, network in enumerate(listed)]
    quick, _ = parse_networks("\n".join(lines))
    walked, _ = parse_networks("\n".join([*lines, "if ::/0", "endif"]))
    assert quick.find(str(address), True) == walked.find(str(address), True)


def test_a_table_of_many_networks_is_not_walked() -> None:
    text = "\n".join(f"10.{number >> 8}.{number & 255}.0/24 REJECT" for number in range(1000))
    table, _ = parse_networks(text)
    table._lines = None  # type: ignore[assignment]
    assert (table.find("10.3.231.1", True), table.find("192.0.2.1", True)) == ("REJECT", None)


def test_parts_of_an_address_are_no_address() -> None:
    table, _ = parse_networks("::/0 REJECT")
    assert table.find("2001:db8::", whole=False) is None


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("10.0.0.1/8 OK", 1, "without host bits"),
        ("10.0.0.0/33 OK", 1, "expected a network"),
        ("example.org OK", 1, "expected a network"),
        ("10.0.0.0/8", 1, "a network and a result"),
        ("10.0.0.0/8 OK\n! ", 2, "expected a network"),
        ("if 10.0.0.0/8", 1, "no endif"),
        ("if 10.0.0.0/8 OK\nendif", 1, "too much behind an if"),
        ("endif", 1, "no if"),
        ("if nonsense\n10.0.0.0/8 OK\nendif", 1, "expected a network"),
        (" 10.0.0.0/8 OK", 1, "begin with a blank"),
    ],
)
def test_bad_lines(text: str, line: int, said: str) -> None:
    _, problems = parse_networks(text)
    assert [problem.line for problem in problems] == [line]
    assert said in problems[0].text
