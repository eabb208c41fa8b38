"""permit_sasl_authenticated, reject_sender_login_mismatch and its three parts."""

import ipaddress

import pytest

from smtpgate.phases.facts import Via
from tests.checks.asking import ask, context, facts, short

OWNERS = {
    "anna@example.org": "anna, admin",
    "bob@example.org": "Bob",
    "@example.com": "carol",
    "post@bücher.example": "dora",
}
REFUSED = "reject 553 5.7.1"


def spoken_for(login: str | None) -> tuple[Via, ...]:
    return (Via("XCLIENT", ipaddress.ip_address("192.0.2.1"), 4711, login=login),)


@pytest.mark.parametrize(
    ("via", "expected"),
    [((), "dunno"), (spoken_for(None), "dunno"), (spoken_for(""), "dunno"), (spoken_for("anna"), "permit")],
)
async def test_permit_sasl_authenticated(via: tuple[Via, ...], expected: str) -> None:
    assert short(await ask("permit_sasl_authenticated", facts(via=via), context())) == expected


@pytest.mark.parametrize(
    ("login", "sender", "both", "authenticated", "unauthenticated", "known"),
    [
        ("anna", "anna@example.org", "dunno", "dunno", "dunno", "dunno"),
        ("ADMIN", "Anna@EXAMPLE.org", "dunno", "dunno", "dunno", "dunno"),
        ("anna", "anna+tag@example.org", "dunno", "dunno", "dunno", "dunno"),
        ("anna", "bob@example.org", REFUSED, REFUSED, "dunno", REFUSED),
        ("anna", "nobody@example.org", REFUSED, REFUSED, "dunno", "dunno"),
        ("anna", "x@example.com", REFUSED, REFUSED, "dunno", REFUSED),
        ("carol", "x@example.com", "dunno", "dunno", "dunno", "dunno"),
        ("dora", "post@xn--bcher-kva.example", "dunno", "dunno", "dunno", "dunno"),
        ("anna", "post@xn--bcher-kva.example", REFUSED, REFUSED, "dunno", REFUSED),
        ("anna", "a@[192.0.2.1]", REFUSED, REFUSED, "dunno", "dunno"),
        ("anna", "", "dunno", "dunno", "dunno", "dunno"),
        (None, "anna@example.org", REFUSED, "dunno", REFUSED, REFUSED),
        (None, "anna+tag@example.org", REFUSED, "dunno", REFUSED, REFUSED),
        (None, "x@example.com", REFUSED, "dunno", REFUSED, REFUSED),
        (None, "nobody@example.org", "dunno", "dunno", "dunno", "dunno"),
        (None, "a@[IPv6:2001:db8::1]", "dunno", "dunno", "dunno", "dunno"),
        (None, "", "dunno", "dunno", "dunno", "dunno"),
    ],
)
async def test_login_mismatch(
    login: str | None, sender: str, both: str, authenticated: str, unauthenticated: str, known: str
) -> None:
    tx = facts(sender=sender, via=spoken_for(login))
    for rule, expected in {
        "reject_sender_login_mismatch": both,
        "reject_authenticated_sender_login_mismatch": authenticated,
        "reject_unauthenticated_sender_login_mismatch": unauthenticated,
        "reject_known_sender_login_mismatch": known,
    }.items():
        verdict = await ask(rule, tx, context(recipient_delimiter="+"), owners=OWNERS)
        assert short(verdict) == expected, rule
        if verdict.reply:
            why = f"not owned by user {login}" if login else "not logged in"
            assert verdict.reply.text == f"<{sender}>: Sender address rejected: {why}"


@pytest.mark.parametrize(
    "wrong", [None, [], "hash:/etc/postfix/logins", {"anna": "anna"}, {"a@example.org": ""}, {"a@example.org": 1}]
)
async def test_owners_that_are_none(wrong: object) -> None:
    with pytest.raises(ValueError, match="senders and their logins"):
        await ask("reject_sender_login_mismatch", facts(), context(), owners=wrong)
