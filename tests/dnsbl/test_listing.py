"""How a list is written, and what its answers mean."""

import contextlib
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.dnsbl.listing import address_list, domain_list


def test_a_long_name_alone_is_no_key() -> None:
    assert address_list("reputationlistofexample.org").public_name == "reputationlistofexample.org"


@pytest.mark.parametrize(
    "written",
    [
        "bl", "", "=127.0.0.2", "bl.example=", "bl.example=127.0.0", "bl.example=127.0.0.256", "bl.example=127.0.0.2.",
        "bl.example=127.0.0.[2..1]", "bl.example=127.0.0.[]", "bl.example=127.0.0.[2", "bl.example=127..0.2",
        "bl.example=127.0.0.[2;]", "bl.example=127.0.0.[2...4]", "bl.example=127.0.0.-1", "bl..example", "192.0.2.1", 5,
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a block list such as"):
        address_list(written)


NUMBER = st.integers(0, 255)
RANGE = st.tuples(NUMBER, NUMBER).map(sorted)
PART = st.lists(RANGE, min_size=1, max_size=4)


@settings(deadline=None)
@given(st.tuples(PART, PART, PART), st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_a_filter_counts_what_it_names(parts: tuple, address: ipaddress.IPv4Address) -> None:
    written = ["[" + ";".join(f"{low}..{high}" for low, high in part) + "]" for part in parts]
    counts = address_list("bl.example=127." + ".".join(written)).counts(address)
    named = all(
        any(low <= number <= high for low, high in part) for number, part in zip(address.packed[1:], parts, strict=True)
    )
    assert counts == (named and not str(address).startswith("127.255.255."))


@settings(deadline=None)
@given(st.text(st.sampled_from("bl.ex=127[];0 é"), max_size=40))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        address_list(text)


@pytest.mark.parametrize(
    ("zone", "answer", "why"),
    [
        ("bl.example", "127.0.0.1", ""),
        ("bl.example", "127.0.10.3", ""),
        ("bl.example", "192.0.2.1", "not in 127.0.0.0/8"),
        ("bl.example", "127.255.255.252", "its name is misspelt"),
        ("bl.example", "127.255.255.254", "it refuses open resolvers"),
        ("bl.example", "127.255.255.255", "it was asked too often"),
        ("bl.example", "127.255.255.1", "an error of the list"),
        ("multi.surbl.org", "127.0.0.1", "it refuses our questions"),
        ("multi.surbl.org", "127.0.0.9", "it refuses our questions"),
        ("multi.surbl.org", "127.0.0.8", ""),
        ("notsurbl.org", "127.0.0.1", ""),
        ("black.uribl.com", "127.0.0.1", "it refuses our questions"),
        ("black.uribl.com", "127.0.0.2", ""),
        ("list.dnswl.org", "127.0.0.255", "it refuses our questions"),
        ("list.dnswl.org", "127.0.10.3", "a special case, no trust"),
        ("list.dnswl.org", "127.0.5.3", ""),
        ("dbl.spamhaus.org", "127.0.1.255", "asked about an address"),
        ("abcdefghijklmnopqrstuvwxyz.zrd.dq.spamhaus.net", "127.0.2.255", "asked about an address"),
        ("dbl.spamhaus.org", "127.0.1.2", ""),
    ],
)
def test_what_is_never_a_listing(zone: str, answer: str, why: str) -> None:
    address = ipaddress.ip_address(answer)
    fault = domain_list(zone).fault(address)
    assert (fault.why if fault else "") == why
    assert domain_list(f"{zone}={answer}").counts(address) == (not why)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("192.0.2.1", "1.2.0.192.bl.example"),
        ("2001:db8::7", "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example"),
    ],
)
def test_the_question_about_an_address(subject: str, name: str) -> None:
    assert address_list("bl.example").question(ipaddress.ip_address(subject)) == name


def test_the_question_about_a_domain() -> None:
    assert domain_list("bl.example").question("shop.example.net") == "shop.example.net.bl.example"
