"""The heart: which sequences of verdicts lead to which reply, and in which phase."""

import asyncio

import pytest

from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.phases.asking import Limits
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, PERMIT, Action, Verdict, dunno
from smtpgate.store.greylist import StoreError
from tests.phases.scripted import Client, Question, rule, says

REJECT, DEFER = Action.REJECT, Action.DEFER
IF_PERMIT, IF_REJECT = Action.DEFER_IF_PERMIT, Action.DEFER_IF_REJECT
EARLY = (Phase.CLIENT, Phase.HELO, Phase.MAIL)
COMMANDS = ("connect", "helo", "mail", "rcpt", "data", "end_of_data")


async def where_refused(client: Client) -> tuple[Phase, int, str] | None:
    """Walk through all phases: where the first refusal came, its code, and who decided; None if there was none."""
    for phase, command in zip(Phase, COMMANDS, strict=True):
        decision = await getattr(client, command)()
        if decision.reply is not None:
            return phase, decision.reply.code, decision.rule
    return None


@pytest.mark.parametrize("delay_reject", [True, False])
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (says(Action.DUNNO), None),
        (says(Action.PERMIT), None),
        (says(REJECT), 554),
        (says(REJECT, 450), 450),
        (says(DEFER), 450),
        (says(IF_PERMIT), 450),
        (says(IF_REJECT), None),
    ],
)
async def test_one_rule(verdict: Verdict, code: int | None, phase: Phase, delay_reject: bool) -> None:
    client = Client(rule(phase, Question(verdict), text="it"), delay_reject=delay_reject)
    answered_late = phase in EARLY and (delay_reject or verdict.action is IF_PERMIT)
    expected = (Phase.RCPT if answered_late else phase, code, "it") if code else None
    assert await where_refused(client) == expected


# A list is written as in the module: "p" permits, "r" rejects (554), "d" defers (450), "P" and "R" defer if all else
# permits or rejects, "." has no opinion. The answer is the letter's place in the list, which decides.
VERDICTS = {
    ".": DUNNO,
    "p": PERMIT,
    "r": says(REJECT),
    "d": says(DEFER),
    "t": says(REJECT, 450),
    "P": says(IF_PERMIT),
    "R": says(IF_REJECT),
}


def lists(**written: str) -> list[object]:
    return [
        rule(Phase[phase.upper()], Question(VERDICTS[letter]), text=f"{phase} {place}")
        for phase, letters in written.items()
        for place, letter in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("written", "decided"),
    [
        # the first opinion ends the list
        ({"rcpt": ""}, None),
        ({"rcpt": "...r"}, "rcpt 3"),
        ({"rcpt": "pr"}, None),
        ({"rcpt": "rp"}, "rcpt 0"),
        ({"rcpt": ".dr"}, "rcpt 1"),
        # PERMIT ends only its own phase's list
        ({"client": "p", "rcpt": "r"}, "rcpt 0"),
        ({"client": "pr", "helo": "pr", "mail": "pr", "rcpt": "p"}, None),
        ({"client": "p", "mail": "r"}, "mail 0"),
        ({"rcpt": "p", "data": "r"}, "data 0"),
        ({"rcpt": "p", "end_of_data": "d"}, "end_of_data 0"),
        # DEFER_IF_PERMIT: a final permit becomes the deferral, a refusal stays; the first reason is kept
        ({"rcpt": "P"}, "rcpt 0"),
        ({"rcpt": "Pp"}, "rcpt 0"),
        ({"rcpt": "P.P"}, "rcpt 0"),
        ({"rcpt": "Pr"}, "rcpt 1"),
        ({"rcpt": "Pd"}, "rcpt 1"),
        ({"rcpt": "pP"}, None),
        ({"client": "P", "rcpt": "r"}, "rcpt 0"),
        ({"client": "P", "rcpt": "p"}, "client 0"),
        ({"helo": "P", "mail": "P", "rcpt": "P"}, "helo 0"),
        ({"mail": "Pp", "rcpt": ""}, "mail 0"),
        ({"data": "P", "end_of_data": ""}, "data 0"),
        ({"end_of_data": "Pp"}, "end_of_data 0"),
        # DEFER_IF_REJECT: a later 5xx of its own list becomes the deferral, a 4xx stays
        ({"rcpt": "R"}, None),
        ({"rcpt": "Rp"}, None),
        ({"rcpt": "Rr"}, "rcpt 0"),
        ({"rcpt": "RRr"}, "rcpt 0"),
        ({"rcpt": "Rd"}, "rcpt 1"),
        ({"rcpt": "Rt"}, "rcpt 1"),
        ({"client": "R", "rcpt": "r"}, "rcpt 0"),
        # both: the list ends, and what is carried decides unless a later list refuses
        ({"rcpt": "PRr"}, "rcpt 0"),
        ({"rcpt": "RPr"}, "rcpt 1"),
        ({"rcpt": "RP"}, "rcpt 1"),
        ({"rcpt": "RPd"}, "rcpt 1"),
        ({"client": "P", "mail": "Rr", "rcpt": "p"}, "client 0"),
        ({"client": "P", "mail": "Rr", "rcpt": "r"}, "rcpt 0"),
    ],
)
@pytest.mark.parametrize("delay_reject", [True, False])
async def test_sequences(written: dict[str, str], decided: str | None, delay_reject: bool) -> None:
    refused = await where_refused(Client(*lists(**written), delay_reject=delay_reject))
    assert (refused and refused[2]) == decided


async def test_a_deferral_that_rcpt_answered_does_not_reach_data() -> None:
    client = Client(*lists(mail="P", data="p"))
    assert (await client.up_to_rcpt()).rule == "mail 0"
    assert (await client.data()).reply is None


async def test_each_recipient_is_decided_alone() -> None:
    class OnlyBob(Question):
        async def __call__(self, tx, ctx):
            return DUNNO if tx.recipient.local == "bob" else says(REJECT)

    client = Client(rule(Phase.RCPT, OnlyBob()))
    await client.connect(), await client.helo(), await client.mail()
    assert (await client.rcpt("bob@example.org")).reply is None
    assert (await client.rcpt("eve@example.org")).reply is not None
    assert (await client.rcpt("bob@example.com")).reply is None


@pytest.mark.parametrize("phase", [Phase.DATA, Phase.END_OF_DATA])
async def test_after_several_recipients_rules_about_one_are_not_asked(phase: Phase, caplog) -> None:
    about_one = Question(says(REJECT))
    client = Client(
        rule(Phase.RCPT, cheap := Question(DUNNO), text="cheap"),
        rule(Phase.RCPT, early := Question(DUNNO), text="early", lookup=True),
        rule(phase, about_one, input=Input.RECIPIENT),
    )
    await client.up_to_rcpt()
    await client.rcpt("c@example.org")
    assert (await client.data()).reply is None
    assert (await client.end_of_data()).reply is None
    assert (about_one.asked, cheap.asked, early.asked) == (0, 2, 2)
    assert not caplog.records


async def test_after_one_recipient_rules_about_it_are_asked() -> None:
    client = Client(rule(Phase.DATA, Question(says(REJECT)), input=Input.RECIPIENT))
    await client.up_to_rcpt()
    assert (await client.data()).reply is not None


# --- shadow -------------------------------------------------------------------------------------------------------

LOUD = Verdict(
    REJECT, Reply(554, "7.1", "no"), {"seen": 1}, results=(MethodResult("spf", "fail"),), received_spf="fail"
)
KINDS = [{}, {"lookup": True}, {"effects": True}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("delay_reject", [True, False])
async def test_shadow_changes_nothing(delay_reject: bool, phase: Phase, action: Action, kind: dict[str, bool]) -> None:
    verdict = Verdict(action, says(action).reply, {"seen": 1}, LOUD.results, LOUD.received_spf)
    client = Client(rule(phase, Question(verdict), shadow=True, **kind), delay_reject=delay_reject)
    assert await where_refused(client) is None
    assert client.tx.tagged == {}
    assert client.tx.carried is None


@pytest.mark.parametrize("phase", EARLY)
async def test_a_deferral_passes_phases_without_rules(phase: Phase) -> None:
    client = Client(rule(phase, Question(says(IF_PERMIT))), delay_reject=False)
    assert await where_refused(client) == (Phase.RCPT, 450, "scripted")


# --- warn_if_reject ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("action", "refused"),
    [
        (Action.REJECT, "554 5.7.1 behind"),
        (Action.DEFER, "554 5.7.1 behind"),
        (Action.DEFER_IF_PERMIT, "554 5.7.1 behind"),
        (Action.DEFER_IF_REJECT, "450 4.7.1 warns"),
        (Action.DUNNO, "554 5.7.1 behind"),
        (Action.PERMIT, None),
    ],
)
async def test_a_rule_that_warns_refuses_nothing(action: Action, refused: str | None, kind: dict[str, bool]) -> None:
    """Postfix (smtpd_check.c): what it permits is permitted, what it could not find out still defers a refusal."""
    warns = rule(Phase.RCPT, Question(says(action, text="warns")), text="warns", warns=True, **kind)
    client = Client(warns, rule(Phase.RCPT, Question(says(Action.REJECT, text="behind")), text="behind"))
    decision = await client.up_to_rcpt()
    assert (None if decision.reply is None else str(decision.reply)) == refused
    entry = client.record.rules[0]
    assert (entry.mode, entry.verdict) == ("warn", action.value)
    assert entry.reply == (str(says(action, text="warns").reply) if says(action).reply else None)


async def test_a_rule_that_warns_alone_lets_pass() -> None:
    client = Client(rule(Phase.RCPT, Question(says(Action.DEFER_IF_PERMIT)), warns=True))
    assert (await client.up_to_rcpt()).reply is None


async def test_what_a_rule_that_warns_wants_done_is_done() -> None:
    hold = MessageAction(Deed.HOLD, "")
    client = Client(rule(Phase.RCPT, Question(DUNNO._replace(deeds=(hold,))), warns=True))
    await client.up_to_rcpt()
    assert client.tx.deeds == (hold,)


async def test_our_own_errors_are_no_warnings() -> None:
    """Postfix: errors of software, resources and data cannot be converted into warnings."""
    client = Client(rule(Phase.RCPT, Question(error=RuntimeError("secret")), warns=True))
    decision = await client.up_to_rcpt()
    assert str(decision.reply).startswith("451 4.3.0 ")


async def test_a_warning_and_the_rule_itself_share_an_answer() -> None:
    question = Question(says(Action.REJECT))
    client = Client(rule(Phase.MAIL, question, warns=True), rule(Phase.RCPT, question, input=Input.SENDER))
    assert (await client.up_to_rcpt()).reply is not None
    assert question.asked == 1


async def test_an_enforced_rule_tags_the_message() -> None:
    client = Client(it := rule(Phase.MAIL, Question(Verdict(Action.DUNNO, None, {}, LOUD.results))))
    await client.up_to_rcpt()
    assert client.tx.tagged[it.key].results == LOUD.results


@pytest.mark.parametrize("kind", [{"lookup": True}, {"effects": True}])
@pytest.mark.parametrize("phase", list(Phase))
async def test_nobody_waits_for_a_shadow_rule(phase: Phase, kind: dict[str, bool]) -> None:
    client = Client(rule(phase, Question(LOUD, gate=asyncio.Event()), shadow=True, **kind))
    async with asyncio.timeout(10):
        assert await where_refused(client) is None
    client.engine.settling.end_session(client.session)


# --- failures inside a rule ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("secret"), StoreError("secret"), LookupError("secret")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("on_error", "decided"), [("defer", "broken"), ("permit", None), ("skip", "next")])
async def test_on_error(on_error, decided: str | None, kind: dict[str, bool], error: Exception) -> None:
    client = Client(
        rule(Phase.RCPT, Question(error=error), text="broken", on_error=on_error, **kind),
        rule(Phase.RCPT, Question(says(REJECT)), text="next"),
    )
    decision = await client.up_to_rcpt()
    assert decision.rule == decided
    if decided == "broken":
        assert (decision.reply.code, decision.reply.enhanced) == (451, "4.3.0")
        assert "secret" not in decision.reply.line()
    entry = client.record.rules[0]
    assert entry.verdict == "error"
    assert "secret" in entry.error


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize(("on_error", "decided"), [("defer", "slow"), ("permit", None), ("skip", "next")])
async def test_a_rule_without_an_answer_in_time(on_error, decided: str | None, kind: dict[str, bool]) -> None:
    client = Client(
        rule(Phase.RCPT, Question(gate=asyncio.Event()), text="slow", on_error=on_error, **kind),
        rule(Phase.RCPT, Question(says(REJECT)), text="next"),
        limits=Limits(rule_timeout=0),
    )
    async with asyncio.timeout(10):
        assert (await client.up_to_rcpt()).rule == decided
    assert client.record.rules[0].error == "no answer within 0 s"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_error", ["defer", "permit", "skip"])
async def test_a_failure_in_shadow_is_recorded_and_changes_nothing(on_error, kind: dict[str, bool]) -> None:
    client = Client(
        rule(Phase.RCPT, Question(error=RuntimeError("secret")), text="broken", shadow=True, on_error=on_error, **kind),
        rule(Phase.RCPT, Question(says(REJECT)), text="next"),
    )
    assert (await client.up_to_rcpt()).rule == "next"
    client.end_transaction()
    await client.engine.settling.drain()
    assert client.record.rules[0].error == "RuntimeError: secret"


# --- the record ---------------------------------------------------------------------------------------------------


async def test_the_record_holds_each_rule_once_for_each_input() -> None:
    client = Client(
        rule(Phase.CLIENT, Question(dunno({"seen": "client"})), text="of the client"),
        rule(Phase.MAIL, Question(), text="of the sender", lookup=True),
        rule(Phase.MAIL, Question(PERMIT), text="shadow", shadow=True),
        rule(Phase.RCPT, Question(says(IF_PERMIT, 450, "later")), text="of the recipient"),
        rule(Phase.RCPT, Question(PERMIT), text="end"),
        rule(Phase.RCPT, Question(says(REJECT)), text="never reached"),
    )
    await client.up_to_rcpt()
    await client.rcpt("c@example.org")
    await client.rcpt("c@example.org")
    rows = [(e.phase, e.rule, e.mode, e.recipient, e.verdict, e.reply, e.evidence) for e in client.record.rules]
    later = "450 4.7.1 later"
    assert rows == [
        ("client", "of the client", "enforce", None, "dunno", None, {"seen": "client"}),
        ("mail", "of the sender", "enforce", None, "dunno", None, None),
        ("mail", "shadow", "shadow", None, "permit", None, None),
        ("rcpt", "of the recipient", "enforce", "b@example.org", "defer_if_permit", later, None),
        ("rcpt", "end", "enforce", "b@example.org", "permit", None, None),
        ("rcpt", "of the recipient", "enforce", "c@example.org", "defer_if_permit", later, None),
        ("rcpt", "end", "enforce", "c@example.org", "permit", None, None),
    ]


async def test_a_second_transaction_lists_what_holds_for_the_session_again() -> None:
    client = Client(rule(Phase.CLIENT, question := Question(), text="of the client"))
    await client.up_to_rcpt()
    first = client.record
    await client.mail(), await client.rcpt()
    assert client.record is not first
    assert [entry.rule for entry in client.record.rules] == ["of the client"]
    assert question.asked == 1


async def test_the_record_stays_bounded() -> None:
    client = Client(rule(Phase.RCPT, Question(LOUD, gate=asyncio.Event()), shadow=True, lookup=True))
    await client.connect(), await client.helo(), await client.mail()
    for number in range(500):
        await client.rcpt(f"{number}@example.org")
    assert len(client.record.rules) == 400
    assert client.record.omitted == 100
    assert len(client.session.tasks) <= 32
    client.engine.settling.end_session(client.session)
