"""reject_rbl_client: what is a listing, and above all what is not."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

NOTHING = ("no such name", "no data", "temporary failure (told to fail)")
LISTED = "reject 554 5.7.1"
V4, V4_NAME = "203.0.113.7", "7.113.0.203.bl.example"
V6 = "2001:db8::7"
V6_NAME = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example"
KEY = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("client", "rule", "zone", "expected"),
    [
        (V4, "bl.example", {}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["127.0.0.2"]}}, LISTED),
        (V4, "BL.example.", {"A": {V4_NAME: ["127.0.0.2"]}}, LISTED),
        (V4, "bl.example", {"A": {V4_NAME: ["127.1.2.3"]}}, LISTED),
        (V6, "bl.example", {"A": {V6_NAME: ["127.0.0.2"]}}, LISTED),
        (V6, "bl.example", {"AAAA": {V6_NAME: ["2001:db8::2"]}}, "dunno"),
        # never a listing: errors of the list, and lists that are no more
        (V4, "bl.example", {"A": {V4_NAME: ["127.255.255.254"]}}, "dunno"),
        (V4, "bl.example=127.255.255.254", {"A": {V4_NAME: ["127.255.255.254"]}}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["198.51.100.1"]}}, "dunno"),
        (V4, "bl.example=198.51.100.1", {"A": {V4_NAME: ["198.51.100.1"]}}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["127.0.0.4", "198.51.100.1"]}}, "dunno"),
        # every answer is looked at
        (V4, "bl.example=127.0.0.4", {"A": {V4_NAME: ["127.0.0.2", "127.0.0.4"]}}, LISTED),
        # filters
        (V4, "bl.example=127.0.0.2", {"A": {V4_NAME: ["127.0.0.2"]}}, LISTED),
        (V4, "bl.example=127.0.0.2", {"A": {V4_NAME: ["127.0.0.3"]}}, "dunno"),
        (V4, "bl.example=127.0.0.[2..11;20]", {"A": {V4_NAME: ["127.0.0.11"]}}, LISTED),
        (V4, "bl.example=127.0.0.[2..11;20]", {"A": {V4_NAME: ["127.0.0.20"]}}, LISTED),
        (V4, "bl.example=127.0.0.[2..11;20]", {"A": {V4_NAME: ["127.0.0.12"]}}, "dunno"),
        (V4, "bl.example=127.0.[0..1].2", {"A": {V4_NAME: ["127.0.1.2"]}}, LISTED),
        # nobody knows: not listed
        (V4, "bl.example", {"fail": {V4_NAME}}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["127.0.0.2"]}, "fail": {f"{V4_NAME} TXT"}}, LISTED),
    ],
)
async def test_reject_rbl_client(client: str, rule: str, zone: dict, expected: str) -> None:
    verdict = await ask(f"reject_rbl_client {rule}", facts(client=client), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    assert verdict.evidence["dns"].startswith(f"{V4_NAME if client == V4 else V6_NAME} A: ")
    assert verdict.evidence.get("list") == (None if verdict.evidence["dns"].endswith(NOTHING) else "bl.example")


@pytest.mark.parametrize("zone", [{}, {"A": {V4_NAME: ["127.255.255.254"]}}, {"fail": {V4_NAME}}])
async def test_the_reason_is_asked_for_only_if_listed(zone: dict) -> None:
    dns = FakeDns(**zone, TXT={V4_NAME: ["a reason"]})
    await ask("reject_rbl_client bl.example", facts(), context(dns=dns))
    assert dns.asked == [(V4_NAME, "A")]


BLOCKED = "554 5.7.1 Service unavailable; Client host [203.0.113.7] blocked using bl.example"


@pytest.mark.parametrize(
    ("txt", "tail"),
    [
        (None, ""),
        ("see https://bl.example/?ip=203.0.113.7", "; see https://bl.example/?ip=203.0.113.7"),
        (b"two\r\n250 lines \xff\x00", "; two??250 lines ??"),
        ("x" * 5000, "; " + "x" * 200),
        ("   ", ""),
    ],
)
async def test_the_reply(txt: str | bytes | None, tail: str) -> None:
    dns = FakeDns(A={V4_NAME: ["127.0.0.2"]}, TXT={V4_NAME: [txt]} if txt else None)
    verdict = await ask("reject_rbl_client bl.example", facts(), context(dns=dns))
    assert str(verdict.reply) == BLOCKED + tail
    assert len(verdict.reply.line("7QK2M9XA")) < 510


async def test_an_error_of_the_list_is_shown_as_one() -> None:
    dns = FakeDns(A={V4_NAME: ["127.255.255.254", "198.51.100.1"]})
    verdict = await ask("reject_rbl_client bl.example", facts(), context(dns=dns))
    assert verdict.evidence["list_error"] == [
        "127.255.255.254: it refuses open resolvers",
        "198.51.100.1: not in 127.0.0.0/8",
    ]
    verdict = await ask("reject_rbl_client bl.example", facts(), context(dns=FakeDns(fail={V4_NAME})))
    assert verdict.evidence["dns"] == f"{V4_NAME} A: temporary failure (told to fail)"


@pytest.mark.parametrize("zone", [f"{KEY}.zen.dq.example.net", f"{'0a' * 16}.combined.example.zone"])
async def test_an_access_key_is_hidden(zone: str) -> None:
    key, _, public = zone.partition(".")
    name = f"7.113.0.203.{zone}"
    for records in (
        {"A": {name: ["127.0.0.2"]}, "TXT": {name: [f"listed in {zone}, key {key}"]}},
        {"fail": {name}},
        {},
    ):
        dns = FakeDns(**records)
        verdict = await ask(f"reject_rbl_client {zone}", facts(), context(dns=dns))
        assert (name, "A") in dns.asked
        assert key not in str(verdict)
        assert verdict.evidence["dns"].startswith(f"7.113.0.203.{public} A: ")
        assert verdict.reply is None or public in verdict.reply.text


@pytest.mark.parametrize(
    ("client", "rule", "zone", "expected"),
    [
        (V4, "bl.example", {}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["127.0.5.1"]}}, "permit"),
        (V6, "bl.example", {"A": {V6_NAME: ["127.0.5.1"]}}, "permit"),
        (V4, "bl.example=127.0.[0..255].[1..3]", {"A": {V4_NAME: ["127.0.5.0"]}}, "dunno"),
        # no trust in what is an error, or no listing at all
        (V4, "bl.example", {"A": {V4_NAME: ["127.255.255.255"]}}, "dunno"),
        (V4, "bl.example", {"A": {V4_NAME: ["198.51.100.1"]}}, "dunno"),
        (V4, "list.dnswl.org", {"A": {"7.113.0.203.list.dnswl.org": ["127.0.0.255"]}}, "dunno"),
        (V4, "list.dnswl.org", {"A": {"7.113.0.203.list.dnswl.org": ["127.0.10.0"]}}, "dunno"),
        (V4, "list.dnswl.org", {"A": {"7.113.0.203.list.dnswl.org": ["127.0.15.3"]}}, "permit"),
        # nobody knows: who might be on the list is not refused for good
        (V4, "bl.example", {"fail": {V4_NAME}}, "defer_if_reject 450 4.7.1"),
    ],
)
async def test_permit_dnswl_client(client: str, rule: str, zone: dict, expected: str) -> None:
    verdict = await ask(f"permit_dnswl_client {rule}", facts(client=client, sender=""), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text == f"<{client}>: Client host rejected: Service unavailable"
