"""A rule that is asked about our own recipients only: its permit is no leave to relay."""

import dataclasses

import pytest

from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.rule import Rule
from smtpgate.phases.verdict import Action, Verdict
from tests.phases import scripted
from tests.phases.scripted import Client, Question, rule, says

PERMIT, IF_REJECT = says(Action.PERMIT), says(Action.DEFER_IF_REJECT)


def allow_list(phase: Phase, verdict: Verdict) -> tuple[Rule, Question]:
    question = Question(verdict)
    plain = rule(phase, question, input=Input.CLIENT, lookup=True)
    return dataclasses.replace(plain, spec=dataclasses.replace(plain.spec, ours_only=True)), question


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    context = dataclasses.replace(scripted.CONTEXT, relay_domains=frozenset({"example.org"}))
    monkeypatch.setattr(scripted, "CONTEXT", context)


@pytest.mark.parametrize(
    ("verdict", "recipient", "code"),
    [
        (PERMIT, "b@example.org", None),
        (PERMIT, "b@example.com", 554),
        (PERMIT, "b%example.com@example.org", 554),
        (IF_REJECT, "b@example.org", 450),
        (IF_REJECT, "b@example.com", 554),
    ],
)
async def test_a_recipient(verdict: Verdict, recipient: str, code: int | None) -> None:
    allowed, _ = allow_list(Phase.RCPT, verdict)
    client = Client(allowed, rule(Phase.RCPT, Question(says(Action.REJECT))))
    await client.connect()
    await client.helo()
    await client.mail()
    decision = await client.rcpt(recipient)
    assert (decision.reply.code if decision.reply else None) == code


async def test_what_was_found_out_for_one_recipient_does_not_hold_for_another() -> None:
    allowed, question = allow_list(Phase.RCPT, PERMIT)
    client = Client(allowed, rule(Phase.RCPT, Question(says(Action.REJECT))))
    await client.connect()
    await question.started.wait()  # before any recipient is known
    await client.helo()
    await client.mail()
    replies = [
        (await client.rcpt(recipient)).reply for recipient in ("b@example.org", "b@example.com", "c@example.org")
    ]
    assert [reply is None for reply in replies] == [True, False, True]
    assert question.asked == 1


@pytest.mark.parametrize("delay_reject", [True, False])
async def test_in_the_client_list_it_ends_that_list(delay_reject: bool) -> None:
    allowed, _ = allow_list(Phase.CLIENT, PERMIT)
    refusal = rule(Phase.CLIENT, Question(says(Action.REJECT)))
    client = Client(allowed, refusal, delay_reject=delay_reject)
    assert (await client.connect()).reply is None
    await client.helo()
    await client.mail()
    assert (await client.rcpt("b@example.org")).reply is None
    # What was answered before there was a recipient stays answered; the relay guard stands in another list.
    assert ((await client.rcpt("b@example.com")).reply is not None) is delay_reject
