"""The option `code` of rules that answer 450: Postfix's *_reject_code. What could not be found out stays 450."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

NULL_MX = {"MX": {"example.net": ["0 ."], "elsewhere.example": ["0 ."]}}


@pytest.mark.parametrize(
    ("rule", "zone", "expected"),
    [
        ("reject_unknown_client_hostname", {}, "reject 554 5.7.25"),
        ("reject_unknown_client_hostname", {"PTR": {"203.0.113.7": ["a.example"]}}, "reject 554 5.7.25"),
        ("reject_unknown_client_hostname", {"fail": {"7.113.0.203.in-addr.arpa"}}, "reject 450 4.7.25"),
        (
            "reject_unknown_client_hostname",
            {"PTR": {"203.0.113.7": ["a.example"]}, "fail": {"a.example"}},
            "reject 450 4.7.25",
        ),
        ("reject_unknown_reverse_client_hostname", {}, "reject 554 5.7.1"),
        ("reject_unknown_reverse_client_hostname", {"fail": {"7.113.0.203.in-addr.arpa"}}, "reject 450 4.7.1"),
        ("reject_unknown_helo_hostname", {}, "reject 554 5.7.1"),
        ("reject_unknown_helo_hostname", {"fail": {"client.example.net"}}, "defer_if_permit 450 4.7.1"),
        ("reject_unknown_sender_domain", {}, "reject 554 5.1.8"),
        ("reject_unknown_sender_domain", {"fail": {"example.net"}}, "defer_if_permit 450 4.1.8"),
        ("reject_unknown_sender_domain", NULL_MX, "reject 550 5.7.27"),
        ("reject_unknown_recipient_domain", {}, "reject 554 5.1.2"),
        ("reject_unknown_recipient_domain", {"fail": {"elsewhere.example"}}, "defer_if_permit 450 4.1.2"),
        ("reject_unknown_recipient_domain", NULL_MX, "reject 556 5.1.10"),
        ("reject_plaintext_session", {}, "reject 554 5.7.1"),
    ],
)
async def test_another_code(rule: str, zone: dict, expected: str) -> None:
    tx = facts(recipient="b@elsewhere.example")
    assert short(await ask(rule, tx, context(dns=FakeDns(**zone)), code=554)) == expected


@pytest.mark.parametrize("code", [250, 399, 600, "550", True, 5.5])
async def test_a_code_that_refuses_nothing_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="the code of a refusal"):
        await ask("reject_plaintext_session", facts(), context(), code=code)
