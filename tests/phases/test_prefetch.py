"""Order without waiting: what is asked early, how often, what is stopped, and when a record is complete."""

import asyncio

import pytest

from smtpgate.phases.asking import Limits
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.verdict import PERMIT, Action
from tests.phases.scripted import Client, Question, rule, says

NEVER = Limits(shadow_grace=0)


@pytest.fixture(autouse=True)
async def _in_time():
    """Whoever waits for what never comes fails here."""
    async with asyncio.timeout(30):
        yield


# --- memoisation --------------------------------------------------------------------------------------------------

TWENTY = [f"{number}@example.org" for number in range(20)]


@pytest.mark.parametrize("lookup", [False, True])
@pytest.mark.parametrize(
    ("known", "asked"),
    [(Input.CLIENT, 1), (Input.HELO, 1), (Input.SENDER, 1), (Input.RECIPIENT, 20)],
)
@pytest.mark.parametrize("delay_reject", [True, False])
async def test_twenty_recipients(known: Input, asked: int, lookup: bool, delay_reject: bool) -> None:
    question = Question()
    client = Client(rule(Phase.RCPT, question, input=known, lookup=lookup), delay_reject=delay_reject)
    await client.connect(), await client.helo(), await client.mail()
    for recipient in TWENTY:
        await client.rcpt(recipient)
    assert question.asked == asked


@pytest.mark.parametrize(
    ("known", "asked"),
    [(Input.CLIENT, 1), (Input.HELO, 2), (Input.SENDER, 3), (Input.RECIPIENT, 3)],
)
@pytest.mark.parametrize("lookup", [False, True])
async def test_an_answer_holds_as_long_as_what_it_depends_on(known: Input, asked: int, lookup: bool) -> None:
    client = Client(rule(Phase.RCPT, question := Question(), input=known, lookup=lookup))
    await client.up_to_rcpt()
    client.end_transaction()
    await client.mail(), await client.rcpt()
    client.end_transaction()
    await client.helo("another.example.net")
    await client.mail(), await client.rcpt()
    assert question.asked == asked


async def test_what_may_change_is_asked_each_time() -> None:
    client = Client(rule(Phase.RCPT, question := Question(), input=Input.CLIENT, memo=False))
    await client.up_to_rcpt()
    question.verdict = says(Action.REJECT)
    assert (await client.rcpt()).reply is not None
    assert [entry.verdict for entry in client.record.rules] == ["dunno", "reject"]


async def test_effects_happen_once_for_each_recipient_that_reaches_them() -> None:
    client = Client(rule(Phase.RCPT, question := Question(), effects=True))
    await client.up_to_rcpt()
    await client.data(), await client.end_of_data()
    assert question.asked == 1


# --- early start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize("phase", list(Phase))
async def test_a_look_up_starts_when_its_input_is_known(phase: Phase, shadow: bool) -> None:
    """It stands in a later list, and is in flight before the client has said anything."""
    question = Question(gate=(gate := asyncio.Event()))
    client = Client(rule(phase, question, input=Input.CLIENT, lookup=True, shadow=shadow), limits=NEVER)
    await client.engine.prefetch(Phase.CLIENT, client.tx)
    await question.started.wait()
    gate.set()
    await client.up_to_rcpt()
    await client.data(), await client.end_of_data()
    assert question.asked == 1


async def test_a_look_up_does_not_start_before_its_input_is_known() -> None:
    client = Client(rule(Phase.RCPT, question := Question(), input=Input.SENDER, lookup=True))
    await client.connect(), await client.helo()
    assert not client.session.tasks
    await client.mail()
    assert client.session.tasks
    await question.started.wait()


async def test_all_look_ups_are_in_flight_together() -> None:
    """Latency is that of the longest look-up: each waits until all have started."""
    gate = asyncio.Event()
    questions = [Question(gate=gate) for _ in range(6)]
    client = Client(*(rule(Phase.RCPT, question, input=Input.SENDER, lookup=True) for question in questions))
    await client.connect(), await client.helo(), await client.mail()
    walking = asyncio.create_task(client.rcpt())
    for question in questions:
        await question.started.wait()
    gate.set()
    assert (await walking).reply is None


async def test_a_list_that_was_answered_starts_nothing() -> None:
    """DATA sees the one recipient again, but what RCPT's list asks about it was answered."""
    client = Client(rule(Phase.RCPT, question := Question(), input=Input.RECIPIENT, lookup=True))
    await client.up_to_rcpt()
    await client.data(), await client.end_of_data()
    assert question.asked == 1


async def test_order_decides_whoever_answers_first() -> None:
    gate = asyncio.Event()
    slow, fast = Question(says(Action.REJECT), gate=gate), Question(PERMIT)
    client = Client(
        rule(Phase.CLIENT, slow, text="slow", lookup=True), rule(Phase.CLIENT, fast, text="fast", lookup=True)
    )
    await client.connect()
    await fast.started.wait()
    gate.set()
    assert (await client.up_to_rcpt()).rule == "slow"


@pytest.mark.parametrize("action", [Action.PERMIT, Action.REJECT, Action.DEFER])
async def test_behind_a_cheap_rule_that_ends_the_list_nothing_starts(action: Action) -> None:
    behind, elsewhere = Question(), Question()
    client = Client(
        rule(Phase.CLIENT, Question(says(action))),
        rule(Phase.CLIENT, behind, lookup=True),
        rule(Phase.HELO, elsewhere, input=Input.CLIENT, lookup=True),
    )
    await client.engine.prefetch(Phase.CLIENT, client.tx)
    assert len(client.session.tasks) == 1
    await elsewhere.started.wait()
    assert behind.asked == 0


@pytest.mark.parametrize("action", list(Action))
async def test_a_cheap_rule_in_shadow_stops_no_look_up(action: Action) -> None:
    client = Client(
        rule(Phase.CLIENT, Question(says(action)), shadow=True), rule(Phase.CLIENT, Question(), lookup=True)
    )
    await client.engine.prefetch(Phase.CLIENT, client.tx)
    assert len(client.session.tasks) == 1


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize("lookup", [False, True])
async def test_effects_never_start_early(lookup: bool, shadow: bool) -> None:
    effect = Question()
    client = Client(
        rule(Phase.RCPT, Question(), input=Input.CLIENT, lookup=True),
        rule(Phase.RCPT, Question(says(Action.REJECT)), text="first"),
        rule(Phase.RCPT, effect, input=Input.CLIENT, lookup=lookup, effects=True, shadow=shadow),
    )
    assert (await client.up_to_rcpt()).rule == "first"
    assert effect.asked == 0
    assert all(task.done() for task in client.session.tasks)


async def test_look_ups_of_a_session_are_bounded_and_none_is_left_out() -> None:
    gate = asyncio.Event()
    questions = [Question(gate=gate) for _ in range(10)]
    client = Client(
        *(rule(Phase.CLIENT, question, lookup=True) for question in questions), limits=Limits(tasks_per_session=3)
    )
    await client.connect()
    assert len(client.session.tasks) == 3
    gate.set()
    assert (await client.up_to_rcpt()).reply is None
    assert [question.asked for question in questions] == [1] * 10


# --- what nobody needs is stopped ---------------------------------------------------------------------------------


async def test_a_refused_recipient_stops_what_was_asked_about_it_alone() -> None:
    gate = asyncio.Event()
    refusing = Question(says(Action.REJECT), gate=gate)
    about_it, about_sender = Question(gate=asyncio.Event()), Question(gate=asyncio.Event())
    client = Client(
        rule(Phase.RCPT, refusing, lookup=True),
        rule(Phase.RCPT, about_it, lookup=True),
        rule(Phase.RCPT, about_sender, input=Input.SENDER, lookup=True),
    )
    await client.connect(), await client.helo(), await client.mail()
    walking = asyncio.create_task(client.rcpt())
    await about_it.started.wait()
    gate.set()
    assert (await walking).reply is not None
    await about_it.cancelled.wait()
    assert not about_sender.cancelled.is_set()
    client.engine.settling.end_session(client.session)
    await about_sender.cancelled.wait()


async def test_the_end_of_a_transaction_stops_what_was_asked_about_its_sender() -> None:
    of_sender, of_client = Question(gate=asyncio.Event()), Question(gate=asyncio.Event())
    client = Client(
        rule(Phase.END_OF_DATA, of_sender, input=Input.SENDER, lookup=True),
        rule(Phase.END_OF_DATA, of_client, input=Input.CLIENT, lookup=True),
    )
    await client.up_to_rcpt()
    await of_sender.started.wait()
    client.end_transaction()
    await of_sender.cancelled.wait()
    assert client.settled == [client.record]
    assert not of_client.cancelled.is_set()
    client.engine.settling.end_session(client.session)
    await of_client.cancelled.wait()


async def test_a_new_transaction_asks_again_what_the_last_one_stopped() -> None:
    client = Client(rule(Phase.RCPT, question := Question(gate=asyncio.Event()), input=Input.SENDER, lookup=True))
    await client.connect(), await client.helo(), await client.mail()
    await question.started.wait()
    client.end_transaction()
    await question.cancelled.wait()
    question.gate.set()
    await client.mail()
    assert (await client.rcpt()).reply is None
    assert question.asked == 2


# --- settling: the record waits for shadow rules, nobody else does --------------------------------------------------


@pytest.mark.parametrize("session_too", [False, True])
@pytest.mark.parametrize("known", [Input.CLIENT, Input.HELO, Input.SENDER, Input.RECIPIENT])
async def test_a_record_waits_for_its_shadow_rules(known: Input, session_too: bool) -> None:
    """Even when the client hangs up in the same moment."""
    question = Question(says(Action.REJECT, text="no"), gate=(gate := asyncio.Event()))
    client = Client(rule(Phase.RCPT, question, input=known, lookup=True, shadow=True))
    await client.up_to_rcpt()
    assert client.record.rules[0].verdict == "unfinished"
    client.end_transaction()
    if session_too:
        client.engine.settling.end_session(client.session)
    assert client.settled == []
    gate.set()
    await client.engine.settling.drain()
    assert client.settled == [client.record]
    assert (client.record.rules[0].verdict, client.record.rules[0].reply) == ("reject", "554 5.7.1 no")


async def test_after_the_grace_a_shadow_rule_stays_unfinished_and_is_stopped() -> None:
    question = Question(gate=asyncio.Event())
    client = Client(rule(Phase.RCPT, question, input=Input.SENDER, lookup=True, shadow=True), limits=NEVER)
    await client.up_to_rcpt()
    client.end_transaction()
    await question.cancelled.wait()
    assert client.settled == [client.record]
    assert client.record.rules[0].verdict == "unfinished"


async def test_after_the_grace_what_the_session_knows_already_stops_nothing_else() -> None:
    late = Question(gate=asyncio.Event())
    client = Client(
        rule(Phase.CLIENT, Question(), text="finished"),
        rule(Phase.RCPT, late, input=Input.SENDER, lookup=True, shadow=True),
        limits=NEVER,
    )
    await client.up_to_rcpt()
    client.end_transaction()
    await late.cancelled.wait()
    assert client.settled == [client.record]


async def test_after_the_grace_a_look_up_that_the_session_needs_goes_on() -> None:
    question = Question(gate=(gate := asyncio.Event()))
    client = Client(rule(Phase.RCPT, question, input=Input.CLIENT, lookup=True, shadow=True), limits=NEVER)
    await client.up_to_rcpt()
    client.end_transaction()
    await client.engine.settling.drain()
    assert client.settled == [client.record]
    gate.set()
    await client.mail(), await client.rcpt()
    (task,) = client.session.tasks
    await task
    client.end_transaction()
    assert client.record.rules[0].verdict == "dunno"
    assert question.asked == 1


async def test_a_record_without_open_questions_is_handed_over_at_once() -> None:
    client = Client(rule(Phase.RCPT, Question(), lookup=True))
    await client.up_to_rcpt()
    client.end_transaction()
    assert client.settled == [client.record]


async def test_too_many_waiting_records_do_not_wait() -> None:
    question = Question(gate=asyncio.Event())
    client = Client(rule(Phase.RCPT, question, input=Input.CLIENT, lookup=True, shadow=True), limits=Limits(settling=1))
    await client.up_to_rcpt()
    client.end_transaction()
    await client.mail(), await client.rcpt()
    client.end_transaction()
    assert client.settled == [client.record]
    question.gate.set()
    await client.engine.settling.drain()
    assert len(client.settled) == 2


async def test_a_shadow_rule_beyond_the_bound_says_why_it_has_no_answer() -> None:
    gate = asyncio.Event()
    client = Client(
        rule(Phase.CLIENT, Question(gate=gate), text="first", lookup=True, shadow=True),
        rule(Phase.CLIENT, Question(gate=gate), text="second", lookup=True, shadow=True),
        limits=Limits(tasks_per_session=1),
    )
    await client.up_to_rcpt()
    first, second = client.record.rules
    assert (first.error, second.error) == (None, "not asked: too many look-ups of this session in flight")
    gate.set()
    client.hang_up()
    await client.engine.settling.drain()
