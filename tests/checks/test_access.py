"""permit, reject, defer, defer_if_permit, defer_if_reject, who is permitted, and the relay guards."""

import pytest

from smtpgate.phases.subject import Subject
from tests.checks.asking import ask, context, facts, short

ANYONE = [{}, {"client": "2001:db8::1"}, {"sender": ""}, {"recipient": "postmaster"}]


@pytest.mark.parametrize("who", ANYONE)
async def test_permit(who: dict[str, str]) -> None:
    assert short(await ask("permit", facts(**who), context())) == "permit"


UNCONDITIONAL = {
    "reject": "554 5.7.1 {about} rejected: Access denied",
    "defer": "450 4.3.2 {about} rejected: Try again later",
    "defer_if_permit": "450 4.7.0 {about} rejected: defer_if_permit requested",
    "defer_if_reject": "450 4.7.0 {about} rejected: defer_if_reject requested",
}


@pytest.mark.parametrize("who", ANYONE)
@pytest.mark.parametrize("rule", UNCONDITIONAL)
async def test_reject_and_defer_whatever_the_list_is_about(rule: str, who: dict[str, str]) -> None:
    tx = facts(**who)
    for subject, about in {
        Subject.CLIENT: f"<[{tx.session.client}]>: Client host",
        Subject.HELO: "<client.example.net>: Helo command",
        Subject.SENDER: f"<{tx.sender}>: Sender address",
        Subject.RECIPIENT: f"<{tx.recipient}>: Recipient address",
        Subject.DATA: "<DATA>: Data command",
        Subject.END_OF_DATA: "<END-OF-MESSAGE>: End-of-data",
    }.items():
        verdict = await ask(rule, tx, context(), subject=subject)
        assert verdict.action.value == rule
        assert str(verdict.reply) == UNCONDITIONAL[rule].format(about=about)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("127.0.0.1", "permit"),
        ("192.0.2.2", "permit"),
        ("2001:db8::2", "permit"),
        ("192.0.2.3", "dunno"),
        ("2001:db8::3", "dunno"),
        ("0.0.0.0", "dunno"),
        ("::", "dunno"),
    ],
)
async def test_permit_inet_interfaces(client: str, expected: str) -> None:
    ctx = context(own_addresses=("127.0.0.1", "::1", "192.0.2.2", "2001:db8::2"))
    assert short(await ask("permit_inet_interfaces", facts(client=client), ctx)) == expected


@pytest.mark.parametrize(
    ("client", "mynetworks", "expected"),
    [
        ("192.0.2.1", (), "dunno"),
        ("192.0.2.1", ("192.0.2.0/24",), "permit"),
        ("192.0.2.1", ("198.51.100.0/24", "192.0.2.1/32"), "permit"),
        ("192.0.3.0", ("192.0.2.0/24",), "dunno"),
        ("127.0.0.1", ("127.0.0.0/8", "::1/128"), "permit"),
        ("::1", ("127.0.0.0/8", "::1/128"), "permit"),
        ("2001:db8:0:1::1", ("2001:db8::/64",), "dunno"),
        ("2001:db8::ffff", ("2001:db8::/64",), "permit"),
        ("0.0.0.1", ("::/0",), "dunno"),
    ],
)
async def test_permit_mynetworks(client: str, mynetworks: tuple[str, ...], expected: str) -> None:
    verdict = await ask("permit_mynetworks", facts(client=client), context(mynetworks=mynetworks))
    assert short(verdict) == expected


REFUSED = "reject 554 5.7.1"


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("b@example.org", "dunno"),
        ("b@EXAMPLE.ORG", "dunno"),
        ("b@xn--bcher-kva.example", "dunno"),
        ("postmaster", "dunno"),  # RFC 5321 §4.5.1
        ("b@example.com", REFUSED),
        ("b@sub.example.org", REFUSED),
        ("b@notexample.org", REFUSED),
        ("b@[192.0.2.1]", REFUSED),
        ("b@[IPv6:2001:db8::1]", REFUSED),
        # routes through us to somewhere else
        ("b%example.com@example.org", REFUSED),
        ("example.com!b@example.org", REFUSED),
        ('"b@example.com"@example.org', REFUSED),
    ],
)
async def test_what_is_ours(recipient: str, expected: str) -> None:
    ctx = context(relay_domains=("example.org", "xn--bcher-kva.example"))
    about = facts(recipient=recipient)
    refused = expected == REFUSED
    assert short(await ask("reject_unauth_destination", about, ctx)) == expected
    assert short(await ask("defer_unauth_destination", about, ctx)) == ("defer 454 4.7.1" if refused else "dunno")
    assert short(await ask("permit_auth_destination", about, ctx)) == ("dunno" if refused else "permit")


async def test_without_relay_domains_everything_is_refused() -> None:
    verdict = await ask("reject_unauth_destination", facts(), context(relay_domains=()))
    assert str(verdict.reply) == "554 5.7.1 <b@example.org>: Relay access denied"
