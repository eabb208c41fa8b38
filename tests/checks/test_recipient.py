"""What is asked about recipients: non-FQDN, unknown domains, unlisted ones, bounces to several."""

import ipaddress

import pytest

from smtpgate.phases.facts import Session, Transaction
from tests.checks.asking import CLIENT, ask, context, facts, mailbox, short
from tests.fakes import FakeDns


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("b@example.org", "dunno"),
        ("b@xn--bcher-kva.example", "dunno"),
        ("b@[192.0.2.1]", "dunno"),
        ("b@[IPv6:2001:db8::1]", "dunno"),
        ("postmaster", "dunno"),
        ("b@localhost", "reject 504 5.5.2"),
        ("b@192.0.2.1", "reject 504 5.5.2"),
    ],
)
async def test_reject_non_fqdn_recipient(recipient: str, expected: str) -> None:
    verdict = await ask("reject_non_fqdn_recipient", facts(recipient=recipient), context())
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text == f"<{recipient}>: Recipient address rejected: need fully-qualified address"


NOT_FOUND, NULL_MX, LATER = "reject 450 4.1.2", "reject 556 5.1.10", "defer_if_permit 450 4.1.2"


@pytest.mark.parametrize(
    ("recipient", "zone", "expected"),
    [
        ("b@example.net", {"MX": {"example.net": ["10 mx.example.net"]}}, "dunno"),
        ("b@example.net", {"A": {"example.net": ["192.0.2.1"]}}, "dunno"),
        ("b@example.net", {"AAAA": {"example.net": ["2001:db8::1"]}}, "dunno"),
        ("b@xn--bcher-kva.example", {"MX": {"xn--bcher-kva.example": ["10 mx.example.net"]}}, "dunno"),
        ("b@example.net", {}, NOT_FOUND),
        ("b@example.net", {"TXT": {"example.net": ["no mail"]}}, NOT_FOUND),
        ("b@example.net", {"MX": {"example.net": ["0 ."]}}, NULL_MX),
        ("b@example.net", {"fail": {"example.net"}}, LATER),
        ("b@example.net", {"A": {"example.net": ["192.0.2.1"]}, "fail": {"example.net MX"}}, "dunno"),
        # not asked: no domain, or one of ours that the world may not know
        ("postmaster", {"fail": {""}}, "dunno"),
        ("b@[192.0.2.1]", {}, "dunno"),
        ("b@[IPv6:2001:db8::1]", {}, "dunno"),
        ("b@example.org", {}, "dunno"),
    ],
)
async def test_reject_unknown_recipient_domain(recipient: str, zone: dict, expected: str) -> None:
    about = facts(recipient=recipient, sender="")
    verdict = await ask("reject_unknown_recipient_domain", about, context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text.startswith(f"<{recipient}>: Recipient address rejected: Domain ")


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("anna@example.org", "dunno"),
        ("ANNA@Example.ORG", "dunno"),
        ("anna+tag@example.org", "dunno"),
        ("bob+list@example.org", "dunno"),
        ("x@xn--bcher-kva.example", "dunno"),
        ("postmaster", "dunno"),
        ("Postmaster@example.org", "dunno"),
        ("b@example.net", "dunno"),
        ("b@[192.0.2.1]", "dunno"),
        ("b@[IPv6:2001:db8::1]", "dunno"),
        ("bob@example.org", "reject 550 5.1.1"),
        ("bob+other@example.org", "reject 550 5.1.1"),
        ("+anna@example.org", "reject 550 5.1.1"),
        ("+@example.org", "reject 550 5.1.1"),
        ("an@example.org", "reject 550 5.1.1"),
    ],
)
async def test_reject_unlisted_recipient(recipient: str, expected: str) -> None:
    domains = ("example.org", "xn--bcher-kva.example")
    known = ("anna@example.org", "bob+list@example.org", "@xn--bcher-kva.example")
    about = facts(recipient=recipient)
    listed = context(relay_domains=domains, recipients=known, recipient_delimiter="+")
    verdict = await ask("reject_unlisted_recipient", about, listed)
    assert short(verdict) == expected
    if verdict.reply:
        assert verdict.reply.text == f"<{recipient}>: Recipient address rejected: User unknown"
    assert short(await ask("reject_unlisted_recipient", about, context(relay_domains=domains))) == "dunno"


async def test_an_extension_is_one_only_if_it_is_configured() -> None:
    ctx = context(recipients=("anna@example.org",))
    assert (
        short(await ask("reject_unlisted_recipient", facts(recipient="anna+tag@example.org"), ctx))
        == "reject 550 5.1.1"
    )


@pytest.mark.parametrize(
    ("sender", "accepted", "asked", "expected"),
    [
        ("", [], "b@example.org", "dunno"),
        ("", ["b@example.org"], "c@example.org", "reject 550 5.5.3"),
        ("", ["b@example.org"], "b@example.org", "reject 550 5.5.3"),  # twice the same, as Postfix counts
        ("", ["b@example.org"], None, "dunno"),  # in DATA
        ("", ["b@example.org", "c@example.org"], None, "reject 550 5.5.3"),
        ("", [], None, "dunno"),
        ("a@example.net", ["b@example.org"], "c@example.org", "dunno"),
        ("a@[192.0.2.1]", ["b@example.org", "c@[IPv6:2001:db8::1]"], None, "dunno"),
    ],
)
async def test_reject_multi_recipient_bounce(
    sender: str, accepted: list[str], asked: str | None, expected: str
) -> None:
    tx = Transaction(Session(ipaddress.ip_address(CLIENT), 4711, "test"), mailbox(sender))
    tx.recipients.extend(map(mailbox, accepted))
    if asked is not None:
        tx = tx.about(mailbox(asked))
    elif len(accepted) == 1:
        tx = tx.about(tx.recipients[0])
    assert short(await ask("reject_multi_recipient_bounce", tx, context())) == expected
