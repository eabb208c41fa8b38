"""reject_unauth_pipelining."""

import pytest

from smtpgate.phases.subject import Subject
from tests.checks.asking import ask, context, facts, short


@pytest.mark.parametrize(
    ("early", "after", "expected"),
    [
        (False, None, "dunno"),
        (True, None, "reject 503 5.5.0"),
        (False, "EHLO", "reject 503 5.5.0"),
        (False, "DATA", "reject 503 5.5.0"),
        (True, "EHLO", "reject 503 5.5.0"),
    ],
)
async def test_reject_unauth_pipelining(early: bool, after: str | None, expected: str) -> None:
    tx = facts(early_talker=early, pipelined_after=after)
    verdict = await ask("reject_unauth_pipelining", tx, context(), subject=Subject.DATA)
    assert short(verdict) == expected
    if verdict.reply is not None:
        assert verdict.reply.text == "<DATA>: Data command rejected: Improper use of SMTP command pipelining"
        assert verdict.evidence == {"early_talker": early, "pipelined_after": after}
