"""The self-test of RFC 5782 §5."""

import ipaddress

import pytest

from smtpgate.dnsbl.listing import address_list, domain_list
from smtpgate.dnsbl.self_test import Kind, questions, self_test
from tests.dnsbl.fake_lists import BEHAVIOURS, ListDns, good

GOOD = {"127.0.0.2": ["127.0.0.2"], "::ffff:7f00:2": ["127.0.0.2"]}
EVERYTHING = "so probably everything"


async def ask(kind: Kind, behaviour) -> str:
    listing = domain_list("bl.example") if kind is Kind.DOMAINS else address_list("bl.example")
    result = await self_test(ListDns(bl=behaviour), listing, kind)
    word = "wrong" if result.wrong else "unknown" if result.unknown else "good"
    return f"{word}: {result.wrong or result.unknown or result.note or ''}"


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("everything", f"{EVERYTHING}"),
        ("parked", "wrong: it answered 198.51.100.80: not in 127.0.0.0/8"),
        ("refusing", "wrong: it answered 127.255.255.254: it refuses open resolvers"),
        ("silent", "unknown: timed out"),
        ("sly", "wrong: it lists whatever is chosen at random, so probably everything"),
    ],
)
async def test_a_list_that_is_wrong(kind: Kind, behaviour: str, expected: str) -> None:
    assert (await ask(kind, BEHAVIOURS[behaviour])).endswith(expected)


@pytest.mark.parametrize("kind", Kind)
async def test_a_list_that_is_right(kind: Kind) -> None:
    assert await ask(kind, good()) == "good: "


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.IPV4, "wrong: it does not list its test entry, 127.0.0.2: it is empty, or no more"),
        (Kind.DOMAINS, "wrong: it does not list its test entry, test or 2.0.0.127: it is empty, or no more"),
        (Kind.IPV6, "good: it has no IPv6 test entry, so probably no IPv6 addresses"),
    ],
)
async def test_an_empty_list(kind: Kind, expected: str) -> None:
    assert await ask(kind, BEHAVIOURS["empty"]) == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # what is wrong is wrong, whatever else could not be found out
        ({"1.0.0.127": ["127.0.0.2"]}, "wrong: it lists 127.0.0.1, so probably everything"),
        ({"1.0.0.127": ["127.0.0.2"], "2.0.0.127": None}, "wrong: it lists 127.0.0.1, so probably everything"),
        ({"1.0.0.127": None}, "unknown: timed out"),
        ({"2.0.0.127": None}, "unknown: timed out"),
        ({"2.0.0.127": ["127.255.255.255"]}, "wrong: it answered 127.255.255.255: it was asked too often"),
        ({"2.0.0.127": ["127.0.0.2", "192.0.2.1"]}, "wrong: it answered 192.0.2.1: not in 127.0.0.0/8"),
        ({"2.0.0.127": ["127.0.0.10"]}, "good: "),
    ],
)
async def test_single_answers(answers: dict, expected: str) -> None:
    assert await ask(Kind.IPV4, lambda label: answers.get(label, good()(label))) == expected


async def test_some_random_addresses_are_listed_by_any_large_list() -> None:
    turn = iter(range(100))
    assert await ask(Kind.IPV4, lambda label: good()(label) or (label != "1.0.0.127" and next(turn) % 8 < 7 and
                                                               ["127.0.0.11"]) or []) == "good: "  # fmt: skip


async def test_dnswl_has_a_test_entry_that_is_no_listing() -> None:
    dns = ListDns()
    dns.zones["list.dnswl.org"] = good(code="127.0.10.0")
    assert (await self_test(dns, address_list("list.dnswl.org"), Kind.IPV4)).wrong is None


async def test_a_list_of_domains_with_a_test_entry_of_its_own() -> None:
    def dbl(label: str) -> list[str]:
        if label[0].isdigit():
            return ["127.0.1.255"]
        return ["127.0.1.2"] if label == "dbltest.com" else []

    dns = ListDns()
    dns.zones["dbl.spamhaus.org"] = dbl
    assert (await self_test(dns, domain_list("dbl.spamhaus.org"), Kind.DOMAINS)).wrong is None
    dns.zones["dbl.spamhaus.org"] = lambda label: ["127.0.1.255"] if label[0].isdigit() else []
    assert "does not list" in ((await self_test(dns, domain_list("dbl.spamhaus.org"), Kind.DOMAINS)).wrong or "")


def test_the_samples_are_public_addresses_and_others_every_time() -> None:
    for kind, version in ((Kind.IPV4, 4), (Kind.IPV6, 6)):
        first, second = (questions(address_list("bl.example"), kind).samples for _ in range(2))
        assert first != second
        assert {address.version for address in (*first, *second)} == {version}
        assert all(ipaddress.ip_address(address).is_global for address in (*first, *second))
