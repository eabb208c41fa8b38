"""reject_non_fqdn_recipient."""

import pytest

from tests.checks.asking import ask, context, facts, short


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
