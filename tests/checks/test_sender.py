"""reject_non_fqdn_sender, reject_unlisted_sender, reject_unknown_sender_domain."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", "dunno"),
        ("a@example.net", "dunno"),
        ("a@xn--bcher-kva.example", "dunno"),
        ("a@[192.0.2.1]", "dunno"),
        ("a@[IPv6:2001:db8::1]", "dunno"),
        ("a@localhost", "reject 504 5.5.2"),
        ("a@192.0.2.1", "reject 504 5.5.2"),
        ('"a@example.net"@localhost', "reject 504 5.5.2"),
    ],
)
async def test_reject_non_fqdn_sender(sender: str, expected: str) -> None:
    verdict = await ask("reject_non_fqdn_sender", facts(sender=sender), context())
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text == f"<{sender}>: Sender address rejected: need fully-qualified address"


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", "dunno"),
        ("a@example.net", "dunno"),
        ("anna@example.org", "dunno"),
        ("Anna+tag@Example.ORG", "dunno"),
        ("x@xn--bcher-kva.example", "dunno"),
        ("postmaster@example.org", "dunno"),
        ("a@[192.0.2.1]", "dunno"),
        ("a@[IPv6:2001:db8::1]", "dunno"),
        ("bob@example.org", "reject 550 5.1.0"),
    ],
)
async def test_reject_unlisted_sender(sender: str, expected: str) -> None:
    domains = ("example.org", "xn--bcher-kva.example")
    known = ("anna@example.org", "@xn--bcher-kva.example")
    listed = context(relay_domains=domains, recipients=known, recipient_delimiter="+-")
    verdict = await ask("reject_unlisted_sender", facts(sender=sender), listed)
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text == f"<{sender}>: Sender address rejected: User unknown"
    assert short(await ask("reject_unlisted_sender", facts(sender=sender), context(relay_domains=domains))) == "dunno"


NOT_FOUND, NULL_MX, LATER = "reject 450 4.1.8", "reject 550 5.7.27", "defer_if_permit 450 4.1.8"


@pytest.mark.parametrize(
    ("sender", "zone", "expected"),
    [
        ("a@example.net", {"MX": {"example.net": ["10 mx.example.net"]}}, "dunno"),
        ("a@example.net", {"A": {"example.net": ["192.0.2.1"]}}, "dunno"),
        ("a@example.net", {"AAAA": {"example.net": ["2001:db8::1"]}}, "dunno"),
        ("a@xn--bcher-kva.example", {"MX": {"xn--bcher-kva.example": ["10 mx.example.net"]}}, "dunno"),
        ("a@example.net", {}, NOT_FOUND),
        ("a@example.net", {"TXT": {"example.net": ["no mail"]}}, NOT_FOUND),
        ("a@example.net", {"MX": {"example.net": ["0 ."]}}, NULL_MX),
        ("a@example.net", {"MX": {"example.net": ["0 ."]}, "A": {"example.net": ["192.0.2.1"]}}, NULL_MX),
        ("a@example.net", {"fail": {"example.net"}}, LATER),
        ("a@example.net", {"fail": {"example.net MX"}}, LATER),
        ("a@example.net", {"A": {"example.net": ["192.0.2.1"]}, "fail": {"example.net MX"}}, "dunno"),
        ("a@example.net", {"TXT": {"example.net": ["x"]}, "fail": {"example.net A"}}, LATER),
        ("a@example.net", {"AAAA": {"example.net": ["2001:db8::1"]}, "fail": {"example.net A"}}, "dunno"),
        # not asked: no domain, or one of ours that the world may not know
        ("", {"fail": {""}}, "dunno"),
        ("a@[192.0.2.1]", {}, "dunno"),
        ("a@[IPv6:2001:db8::1]", {}, "dunno"),
        ("a@example.org", {}, "dunno"),
    ],
)
async def test_reject_unknown_sender_domain(sender: str, zone: dict, expected: str) -> None:
    verdict = await ask("reject_unknown_sender_domain", facts(sender=sender), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected


async def test_replies_and_evidence_say_what_was_seen() -> None:
    verdict = await ask("reject_unknown_sender_domain", facts(), context())
    assert str(verdict.reply) == "450 4.1.8 <a@example.net>: Sender address rejected: Domain not found"
    assert verdict.evidence["dns"][0] == "example.net MX: no such name"
    null = context(dns=FakeDns(MX={"example.net": ["0 ."]}))
    verdict = await ask("reject_unknown_sender_domain", facts(), null)
    assert (
        verdict.reply.text
        == "<a@example.net>: Sender address rejected: Domain example.net does not accept mail (nullMX)"
    )
