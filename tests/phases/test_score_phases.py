"""Where points count: over phases, recipients and transactions; and what shadow mode changes, which is nothing."""

import asyncio

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.phases.asking import Limits
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.rule import CheckSpec, Mode, Rule
from smtpgate.phases.scored import scored, scored_spec
from smtpgate.phases.verdict import DUNNO, PERMIT, Action, Verdict
from tests.checks.asking import call, context
from tests.phases.scripted import Client, Question, rule, says

REJECT = says(Action.REJECT)


def gives(phase: Phase, question: Question | Verdict, value: int, *, text: str = "", shadow: bool = False,
          input: Input = Input.CLIENT, lookup: bool = True) -> Rule:  # fmt: skip
    """A rule with score = value."""
    question = question if isinstance(question, Question) else Question(question)
    spec = scored_spec(CheckSpec("it", question, input, lookup=lookup))
    return Rule(
        spec, scored(question, text or f"{phase.key} {value}", value), text, phase, _mode(shadow), spec.on_error
    )


def asks(phase: Phase, threshold: int, *, shadow: bool = False, action: str = "reject") -> Rule:
    spec = REGISTRY["check_score"]

    async def check(tx, ctx):
        return await call(spec, tx, context(), str(threshold), action=action)

    return Rule(spec, check, f"check_score {threshold}", phase, _mode(shadow))


def _mode(shadow: bool) -> Mode:
    return "shadow" if shadow else "enforce"


async def walk(client: Client) -> list[str]:
    """The phases in which something was refused, up to the first."""
    for phase in Phase:
        decision = await getattr(client, {Phase.CLIENT: "connect"}.get(phase, phase.key))()
        if decision.reply is not None:
            return [phase.key, str(decision.reply.code)]
    return []


@pytest.mark.parametrize("delay_reject", [True, False])
@pytest.mark.parametrize("asked_in", list(Phase))
async def test_points_of_all_phases_up_to_the_threshold(asked_in: Phase, delay_reject: bool) -> None:
    given = [gives(phase, REJECT, 1) for phase in Phase]
    enough, too_few = asked_in + 1, asked_in + 2
    refused_in = Phase.RCPT if delay_reject and asked_in < Phase.RCPT else asked_in
    refusing = Client(*given, asks(asked_in, enough), delay_reject=delay_reject)
    assert await walk(refusing) == [refused_in.key, "550"]
    passing = Client(*given, asks(asked_in, too_few), delay_reject=delay_reject)
    assert await walk(passing) == []


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([gives(Phase.CLIENT, REJECT, 2), gives(Phase.MAIL, PERMIT, -1), asks(Phase.RCPT, 2)], []),
        ([gives(Phase.CLIENT, REJECT, 2), gives(Phase.MAIL, PERMIT, -1), asks(Phase.RCPT, 1)], ["rcpt", "550"]),
        # behind the threshold is too late
        ([asks(Phase.RCPT, 1), gives(Phase.RCPT, REJECT, 5)], []),
        # what permits for points does not end its list
        ([gives(Phase.RCPT, PERMIT, -1), gives(Phase.RCPT, REJECT, 3), asks(Phase.RCPT, 2)], ["rcpt", "550"]),
        # what could not be found out gives nothing, and defers nothing
        ([gives(Phase.RCPT, says(Action.DEFER_IF_PERMIT), 3), asks(Phase.RCPT, 1)], []),
        ([gives(Phase.RCPT, DUNNO, 3), asks(Phase.RCPT, 1)], []),
        ([gives(Phase.RCPT, Question(error=RuntimeError()), 3), asks(Phase.RCPT, 1)], []),
        # built upon a 4xx, it is a 4xx
        ([gives(Phase.RCPT, says(Action.REJECT, 450), 3), asks(Phase.RCPT, 1)], ["rcpt", "450"]),
        # in shadow mode it gives nothing; nor does such a threshold refuse
        ([gives(Phase.CLIENT, REJECT, 5, shadow=True), asks(Phase.RCPT, 1)], []),
        ([gives(Phase.CLIENT, REJECT, 5), asks(Phase.RCPT, 1, shadow=True)], []),
        ([gives(Phase.CLIENT, REJECT, 5), asks(Phase.RCPT, 5, action="tag"), asks(Phase.DATA, 5)], ["data", "550"]),
    ],
)
@pytest.mark.parametrize("delay_reject", [True, False])
async def test_what_counts(rules: list[Rule], expected: list[str], delay_reject: bool, caplog) -> None:
    assert await walk(Client(*rules, delay_reject=delay_reject)) == expected


@pytest.mark.parametrize("delay_reject", [True, False])
async def test_points_count_once_however_many_recipients(delay_reject: bool) -> None:
    client = Client(
        gives(Phase.CLIENT, REJECT, 1), gives(Phase.RCPT, REJECT, 1), asks(Phase.RCPT, 3), asks(Phase.DATA, 3),
        delay_reject=delay_reject,
    )  # fmt: skip
    await client.up_to_rcpt()
    for number in range(5):
        assert (await client.rcpt(f"{number}@example.org")).reply is None
    assert (await client.data()).reply is None


class OnlyEve(Question):
    async def __call__(self, tx, ctx):
        return REJECT if tx.recipient.local == "eve" else DUNNO


@pytest.mark.parametrize("lookup", [True, False])
async def test_what_was_found_about_a_recipient_is_its_own(lookup: bool) -> None:
    about_one = gives(Phase.RCPT, OnlyEve(), 2, input=Input.RECIPIENT, lookup=lookup)
    client = Client(about_one, gives(Phase.MAIL, REJECT, 1), asks(Phase.DATA, 3), asks(Phase.RCPT, 4))
    await client.up_to_rcpt()
    await client.rcpt("eve@example.org")
    assert (await client.data()).reply is None
    alone = Client(about_one, gives(Phase.MAIL, REJECT, 1), asks(Phase.DATA, 3))
    await alone.connect(), await alone.helo(), await alone.mail()
    await alone.rcpt("eve@example.org")
    assert (await alone.data()).reply.code == 550


async def test_a_refused_recipient_leaves_nothing_behind() -> None:
    refuses_eve = gives(Phase.RCPT, OnlyEve(), 5, input=Input.RECIPIENT)
    client = Client(refuses_eve, asks(Phase.RCPT, 5), asks(Phase.DATA, 1))
    await client.up_to_rcpt()
    assert (await client.rcpt("eve@example.org")).reply.code == 550
    assert (await client.data()).reply is None


@pytest.mark.parametrize("delay_reject", [True, False])
async def test_the_next_transaction_starts_with_what_the_session_has(delay_reject: bool) -> None:
    class OnlyFirst(Question):
        async def __call__(self, tx, ctx):
            return REJECT if tx.sender.local == "first" else DUNNO

    client = Client(
        gives(Phase.CLIENT, REJECT, 1), gives(Phase.MAIL, OnlyFirst(), 1, input=Input.SENDER), asks(Phase.RCPT, 2),
        delay_reject=delay_reject,
    )  # fmt: skip
    await client.connect(), await client.helo(), await client.mail("first@example.net")
    assert (await client.rcpt()).reply.code == 550
    client.end_transaction()
    await client.mail("second@example.net")
    assert (await client.rcpt()).reply is None


# --- shadow mode ----------------------------------------------------------------------------------------------------


async def test_a_threshold_in_shadow_mode_counts_both() -> None:
    gate = asyncio.Event()
    client = Client(
        gives(Phase.CLIENT, Question(REJECT, gate=gate), 2, text="late", shadow=True),
        gives(Phase.CLIENT, REJECT, 1, text="cheap", shadow=True, lookup=False),
        gives(Phase.MAIL, REJECT, 1, text="enforced"),
        asks(Phase.RCPT, 4, shadow=True),
        asks(Phase.DATA, 2),
    )
    assert await walk(client) == []  # it did not wait for what is late
    gate.set()
    client.end_transaction()
    await client.engine.settling.drain()
    (record,) = client.settled
    entry = next(entry for entry in record.rules if entry.rule == "check_score 4")
    assert (entry.verdict, entry.evidence["score"]) == ("reject", 4)


async def test_a_threshold_in_shadow_mode_whose_rules_never_answer() -> None:
    client = Client(
        gives(Phase.CLIENT, Question(REJECT, gate=asyncio.Event()), 2, shadow=True),
        asks(Phase.RCPT, 2, shadow=True),
        limits=Limits(shadow_grace=0),
    )
    assert await walk(client) == []
    client.hang_up()
    await client.engine.settling.drain()
    assert {entry.verdict for record in client.settled for entry in record.rules} == {"unfinished"}


async def test_sessions_share_no_points() -> None:
    rules = [gives(Phase.CLIENT, REJECT, 1), asks(Phase.RCPT, 2)]
    for _ in range(3):
        assert await walk(Client(*rules)) == []


async def test_the_record_tells_who_gave_what() -> None:
    client = Client(gives(Phase.CLIENT, REJECT, 2, text="one"), asks(Phase.RCPT, 2))
    await client.up_to_rcpt()
    one, threshold = client.record.rules
    assert (one.verdict, one.evidence["points"]) == ("dunno", 2)
    assert threshold.evidence == {"score": 2, "threshold": 2, "given": {"one": 2}}


@pytest.mark.parametrize("asked_in", [Phase.RCPT, Phase.DATA, Phase.END_OF_DATA])
async def test_points_of_rules_that_only_tables_name_last_as_long(asked_in: Phase) -> None:
    def leads_to(phase: Phase, named: Rule) -> Rule:
        return rule(phase, Question(Verdict(Action.DUNNO, rules=(named,))), text=f"table of {phase.key}")

    for threshold, expected in ((6, [asked_in.key, "550"]), (7, [])):
        client = Client(
            leads_to(Phase.MAIL, gives(Phase.MAIL, REJECT, 2)),
            leads_to(Phase.RCPT, gives(Phase.RCPT, REJECT, 4)),
            leads_to(asked_in, asks(asked_in, threshold)),
        )
        assert await walk(client) == expected
