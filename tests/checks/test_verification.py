"""reject_unverified_recipient, reject_unverified_sender."""

import pytest

from smtpgate.phases.facts import Address
from smtpgate.phases.verification import Finding, Verification
from tests.checks.asking import ask, context, facts, short

GONE = "550 5.1.1 <b@example.org>: No such user"


class Verifier:
    """Finds what the test says. asked: every address."""

    def __init__(self, finding: Finding, reason: str = "") -> None:
        self.found = Verification(finding, reason, {"answer": reason})
        self.asked: list[str] = []

    async def verify(self, address: Address) -> Verification:
        self.asked.append(address.text)
        return self.found


FOUND = [
    (Finding.DELIVERABLE, 450, "dunno", ""),
    (Finding.DELIVERABLE, 550, "dunno", ""),
    (Finding.UNDELIVERABLE, 450, "defer_if_permit 450 4.1.{}", "unverified address: No such user"),
    (Finding.UNDELIVERABLE, 550, "reject 550 5.1.{}", "undeliverable address: No such user"),
    (Finding.UNKNOWN, 450, "defer_if_permit 450 4.1.{}", "unverified address: No such user"),
    (Finding.UNKNOWN, 550, "defer_if_permit 450 4.1.{}", "unverified address: No such user"),
    (Finding.PENDING, 550, "defer_if_permit 450 4.1.{}", "unverified address: Address verification in progress"),
]


@pytest.mark.parametrize(("finding", "code", "expected", "text"), FOUND)
@pytest.mark.parametrize(
    ("rule", "detail", "subject"),
    [
        ("reject_unverified_recipient", 1, "<b@example.org>: Recipient address"),
        ("reject_unverified_sender", 7, "<a@example.net>: Sender address"),
    ],
)
async def test_what_was_found(
    rule: str, detail: int, subject: str, finding: Finding, code: int, expected: str, text: str
) -> None:
    verdict = await ask(rule, facts(), context(verifier=Verifier(finding, "No such user")), code=code)
    assert short(verdict) == expected.format(detail)
    assert verdict.evidence == {"finding": finding.value, "answer": "No such user"}
    if text:
        assert verdict.reply.text == f"{subject} rejected: {text}"


@pytest.mark.parametrize("sender", ["", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@example.org"])
async def test_senders_that_are_not_asked_about(sender: str) -> None:
    verifier = Verifier(Finding.UNDELIVERABLE)
    verdict = await ask("reject_unverified_sender", facts(sender=sender), context(verifier=verifier), code=550)
    assert (short(verdict), verifier.asked) == ("dunno", [])


async def test_an_internationalised_sender_is_asked_about() -> None:
    verifier = Verifier(Finding.DELIVERABLE)
    await ask("reject_unverified_sender", facts(sender="a@xn--bcher-kva.example"), context(verifier=verifier))
    assert verifier.asked == ["a@xn--bcher-kva.example"]


async def test_a_reason_is_cut_and_never_missing() -> None:
    long = await ask(
        "reject_unverified_recipient", facts(), context(verifier=Verifier(Finding.UNDELIVERABLE, "x" * 999))
    )
    assert long.reply.text.endswith(": " + "x" * 250)
    none = await ask("reject_unverified_recipient", facts(), context(verifier=Verifier(Finding.UNKNOWN)))
    assert none.reply.text.endswith("unverified address: Address verification problem")


@pytest.mark.parametrize("code", [451, 250, "450", True])
async def test_a_wrong_code_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="450 or 550"):
        await ask("reject_unverified_recipient", facts(), context(), code=code)
