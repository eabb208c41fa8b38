"""Rules that a verdict puts in its place, and what verdicts ask to be done with the message."""

import asyncio

import pytest

from smtpgate.phases.engine import ENDLESS
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.rule import Rule
from smtpgate.phases.verdict import DUNNO, Action, Verdict
from tests.phases.scripted import Client, Question, rule, says

HOLD = MessageAction(Deed.HOLD, "")
PREPEND = MessageAction(Deed.PREPEND, "X-A: b")


def asks(action: Action, text: str = "inner", *, shadow: bool = False) -> Rule:
    return rule(Phase.RCPT, Question(says(action, text=text)), text=text, shadow=shadow)


def leads_to(*rules: Rule, shadow: bool = False) -> Rule:
    verdict = DUNNO._replace(rules=rules)
    return rule(Phase.RCPT, Question(verdict), text="table", shadow=shadow)


@pytest.mark.parametrize(
    ("inner", "behind", "expected"),
    [
        ([Action.REJECT], Action.PERMIT, "554 5.7.1 inner"),
        ([Action.DEFER], Action.PERMIT, "450 4.7.1 inner"),
        ([Action.PERMIT], Action.REJECT, None),
        ([Action.DUNNO], Action.REJECT, "554 5.7.1 behind"),
        ([Action.DUNNO, Action.PERMIT, Action.REJECT], Action.REJECT, None),
        ([Action.DEFER_IF_PERMIT], Action.PERMIT, "450 4.7.1 inner"),
        ([Action.DEFER_IF_PERMIT], Action.REJECT, "554 5.7.1 behind"),
        ([Action.DEFER_IF_REJECT], Action.REJECT, "450 4.7.1 inner"),
        ([Action.DEFER_IF_REJECT], Action.DUNNO, None),
        ([], Action.REJECT, "554 5.7.1 behind"),
    ],
)
async def test_they_are_asked_in_this_place(inner: list[Action], behind: Action, expected: str | None) -> None:
    client = Client(leads_to(*map(asks, inner)), asks(behind, "behind"))
    decision = await client.up_to_rcpt()
    assert (None if decision.reply is None else str(decision.reply)) == expected


async def test_they_may_lead_further() -> None:
    client = Client(leads_to(leads_to(asks(Action.DUNNO)), asks(Action.REJECT, "outer")), asks(Action.PERMIT, "behind"))
    decision = await client.up_to_rcpt()
    assert str(decision.reply) == "554 5.7.1 outer"
    assert [entry.rule for entry in client.record.rules] == ["table", "table", "inner", "outer"]


async def test_rules_that_lead_to_themselves_end() -> None:
    question = Question()
    endless = rule(Phase.RCPT, question, text="table", memo=False)
    question.verdict = DUNNO._replace(rules=(endless,))
    client = Client(endless)
    assert await client.up_to_rcpt() == ENDLESS
    assert question.asked == 101


async def test_in_shadow_mode_they_change_nothing_not_even_without_end() -> None:
    question = Question()
    endless = rule(Phase.RCPT, question, text="table", memo=False, shadow=True)
    question.verdict = DUNNO._replace(rules=(endless, asks(Action.REJECT, shadow=True)), deeds=(HOLD,))
    client = Client(endless)
    decision = await client.up_to_rcpt()
    assert decision.reply is None
    assert client.tx.deeds == ()
    assert {(entry.rule, entry.mode) for entry in client.record.rules} >= {("table", "shadow"), ("inner", "shadow")}


@pytest.mark.parametrize("early", [False, True])
async def test_in_shadow_mode_what_a_late_answer_would_have_asked_is_named(early: bool) -> None:
    gate = asyncio.Event()
    verdict = Verdict(Action.DUNNO, evidence={"key": "k"}, rules=(asks(Action.REJECT), asks(Action.DUNNO, "second")))
    late = rule(Phase.RCPT, Question(verdict, gate=gate), text="table", shadow=True, lookup=True, input=Input.CLIENT)
    client = Client(late)
    await client.connect()
    if early:
        gate.set()
        await asyncio.sleep(0)
    assert (await client.up_to_rcpt()).reply is None
    gate.set()
    await asyncio.gather(*client.record.pending)
    client.end_transaction()
    (entry,) = client.record.rules
    assert (entry.verdict, entry.evidence) == ("dunno", {"key": "k", "would_ask": ["inner", "second"]})
    assert verdict.evidence == {"key": "k"}


async def test_deeds_are_collected_in_order_and_once() -> None:
    first = rule(Phase.MAIL, Question(Verdict(Action.DUNNO, deeds=(PREPEND,))), text="first")
    second = rule(Phase.RCPT, Question(Verdict(Action.DUNNO, deeds=(HOLD, PREPEND))), text="second", memo=False)
    client = Client(first, second)
    await client.up_to_rcpt()
    await client.rcpt("c@example.org")
    assert client.tx.deeds == (PREPEND, HOLD)


async def test_deeds_for_a_recipient_that_is_refused_are_forgotten() -> None:
    client = Client(
        rule(Phase.RCPT, Question(Verdict(Action.DUNNO, deeds=(HOLD,))), text="hold"), asks(Action.REJECT, "no")
    )
    await client.up_to_rcpt()
    assert client.tx.deeds == ()
