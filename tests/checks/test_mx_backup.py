"""permit_mx_backup."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

US, US6, PRIMARY = "192.0.2.2", "2001:db8::2", "198.51.100.1"
DOMAIN = "example.net"
LATER = "defer_if_reject 450 4.4.4"
BACKUP = {"MX": {DOMAIN: ["10 mx1.example.net", "20 mx2.example.net"]}}


def hosts(**addresses: str) -> dict:
    return BACKUP | {"A": {f"{host}.example.net": [address] for host, address in addresses.items()}}


@pytest.mark.parametrize(
    ("recipient", "zone", "options", "expected"),
    [
        # ours anyway
        ("b@example.org", {"fail": {"example.org"}}, {}, "permit"),
        ("postmaster", {}, {}, "permit"),
        # a backup: by its address, or by its name
        ("b@example.net", hosts(mx1=PRIMARY, mx2=US), {}, "permit"),
        ("b@example.net", {"MX": {DOMAIN: ["10 mx1.example.net", "20 mx.example.org"]}}, {}, "permit"),
        (
            "b@example.net",
            BACKUP | {"A": {"mx1.example.net": [PRIMARY]}, "AAAA": {"mx2.example.net": [US6]}},
            {},
            "permit",
        ),
        ("b@xn--bcher-kva.example", {"MX": {"xn--bcher-kva.example": ["5 mx.b", "9 mx.example.org"]}}, {}, "permit"),
        ("b@example.net", hosts(mx1=PRIMARY, mx2="203.0.113.9"), {"addresses": ["203.0.113.9"]}, "permit"),
        # the primary itself, or nothing to us
        ("b@example.net", hosts(mx1=US, mx2=US), {}, "dunno"),
        ("b@example.net", {"MX": {DOMAIN: ["10 mx.example.org", "20 mx2.example.net"]}}, {}, "dunno"),
        ("b@example.net", {"MX": {DOMAIN: ["10 mx1.example.net", "10 mx.example.org"]}}, {}, "dunno"),
        ("b@example.net", hosts(mx1=PRIMARY, mx2="198.51.100.2"), {}, "dunno"),
        ("b@example.net", {"MX": {DOMAIN: ["10 mx1.example.net"]}}, {}, "dunno"),
        ("b@example.net", {"MX": {DOMAIN: ["0 ."]}}, {}, "dunno"),
        ("b@example.net", {"A": {DOMAIN: [US]}}, {}, "dunno"),
        ("b@example.net", {}, {}, "dunno"),
        # never asked about
        ("b@[192.0.2.2]", {}, {}, "dunno"),
        ("b@[IPv6:2001:db8::2]", {}, {}, "dunno"),
        ("b%example.com@example.net", hosts(mx1=PRIMARY, mx2=US), {}, "dunno"),
        ("b%example.com@example.org", {}, {}, "dunno"),
        # where the primary must be
        ("b@example.net", hosts(mx1=PRIMARY, mx2=US), {"networks": ["198.51.100.0/24"]}, "permit"),
        ("b@example.net", hosts(mx1=PRIMARY, mx2=US), {"networks": ["203.0.113.0/24"]}, "dunno"),
        ("b@example.net", hosts(mx2=US), {"networks": ["198.51.100.0/24"]}, LATER),
        # what cannot be looked up
        ("b@example.net", {"fail": {"example.net MX"}}, {}, LATER),
        ("b@example.net", hosts(mx1=PRIMARY) | {"fail": {"mx2.example.net"}}, {}, LATER),
        ("b@example.net", hosts(mx1=PRIMARY), {}, LATER),
        ("b@example.net", hosts(mx2=US) | {"fail": {"mx1.example.net"}}, {}, "permit"),
    ],
)
async def test_permit_mx_backup(recipient: str, zone: dict, options: dict, expected: str) -> None:
    ctx = context(dns=FakeDns(**zone), own_addresses=("127.0.0.1", US, US6))
    verdict = await ask("permit_mx_backup", facts(recipient=recipient, sender=""), ctx, **options)
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text.startswith(f"<{recipient}>: Recipient address rejected: Unable to look up mail exch")


async def test_a_domain_with_many_exchangers_is_not_asked_to_its_end() -> None:
    dns = FakeDns(MX={DOMAIN: [f"{n} mx{n}.example.net" for n in range(100)]})
    assert short(await ask("permit_mx_backup", facts(recipient="b@example.net"), context(dns=dns))) == LATER
    assert len(dns.asked) == 1 + 2 * 16
