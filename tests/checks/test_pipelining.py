"""reject_unauth_pipelining."""

import pytest

from tests.checks.asking import ask, context, facts, short


@pytest.mark.parametrize(
    ("early", "after", "expected"),
    [
        (False, None, "dunno"),
        (True, None, "before the banner"),
        (False, "EHLO", "after EHLO"),
        (False, "DATA", "after DATA"),
        (True, "EHLO", "before the banner"),
    ],
)
async def test_reject_unauth_pipelining(early: bool, after: str | None, expected: str) -> None:
    tx = facts(early_talker=early, pipelined_after=after)
    verdict = await ask("reject_unauth_pipelining", tx, context())
    if verdict.reply is None:
        assert short(verdict) == expected
    else:
        text = f"503 5.5.0 Improper use of SMTP command pipelining: input {expected}"
        assert str(verdict.reply) == text
        assert verdict.evidence == {"early_talker": early, "pipelined_after": after}
