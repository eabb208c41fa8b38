"""The engine against the plainest possible reading of its rules: no tasks, no memory, nothing started early."""

import asyncio
from dataclasses import dataclass
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.phases.engine import log
from smtpgate.phases.phase import KNOWN_IN, Input, Phase
from smtpgate.phases.rule import OnError
from smtpgate.phases.verdict import Action
from tests.phases.scripted import Client, Question, rule, says

EARLY = (Phase.CLIENT, Phase.HELO, Phase.MAIL)


@dataclass(frozen=True)
class Written:
    """One rule of a random configuration. code: of its refusal. kind: "cheap", "lookup" or "effects"."""

    phase: Phase
    action: Action
    code: int
    known: Input
    kind: str
    shadow: bool
    fails: bool
    on_error: OnError


@st.composite
def written_rules(draw: st.DrawFn) -> list[Written]:
    def one() -> Written:
        phase = draw(st.sampled_from(Phase))
        action = draw(st.sampled_from(Action))
        return Written(
            phase,
            action,
            draw(st.sampled_from([450, 554])) if action is Action.REJECT else 450,
            draw(st.sampled_from([known for known in Input if known <= KNOWN_IN[phase]])),
            draw(st.sampled_from(["cheap", "lookup", "effects"])),
            draw(st.booleans()),
            draw(st.sampled_from([False, False, False, True])),
            draw(st.sampled_from(["defer", "permit", "skip"])),
        )

    return [one() for _ in range(draw(st.integers(0, 10)))]


def effective(written: Written) -> tuple[Action, int]:
    if not written.fails:
        return written.action, written.code
    return {"defer": (Action.DEFER, 451), "permit": (Action.PERMIT, 0), "skip": (Action.DUNNO, 0)}[written.on_error]


def reference(rules: list[Written], delay_reject: bool) -> tuple[tuple[Phase, int, str] | None, set[int]]:
    """Where the first refusal comes, its code and who decided; and the numbers of all rules that were reached."""
    reached: set[int] = set()
    held = None
    for phase in Phase:
        answered = Phase.RCPT if delay_reject and phase in EARLY else phase
        if_reject = None
        for number, written in enumerate(rules):
            if written.phase is not phase:
                continue
            reached.add(number)
            action, code = effective(written)
            if written.shadow or action is Action.DUNNO:
                continue
            if action is Action.PERMIT:
                break
            if action is Action.DEFER_IF_PERMIT:
                held = held or (code, f"rule {number}")
            elif action is Action.DEFER_IF_REJECT:
                if_reject = if_reject or (code, f"rule {number}")
            else:
                refusal = (code, f"rule {number}")
                return (answered, *(if_reject if if_reject and code >= 500 else refusal)), reached
            if held and if_reject:  # nothing but a deferral can come of this list
                break
        if held and phase not in EARLY:
            return (phase, *held), reached
    return None, reached


async def engine(rules: list[Written], delay_reject: bool) -> tuple[tuple[Phase, int, str] | None, set[int], Client]:
    questions = [
        Question(says(written.action, written.code), error=RuntimeError() if written.fails else None)
        for written in rules
    ]
    client = Client(
        *(
            rule(
                written.phase,
                question,
                text=f"rule {number}",
                input=written.known,
                lookup=written.kind == "lookup",
                effects=written.kind == "effects",
                shadow=written.shadow,
                on_error=written.on_error,
            )
            for number, (written, question) in enumerate(zip(rules, questions, strict=True))
        ),
        delay_reject=delay_reject,
    )
    refused = None
    commands = (client.connect, client.helo, client.mail, client.rcpt, client.data, client.end_of_data)
    for phase, command in zip(Phase, commands, strict=True):
        decision = await command()
        if decision.reply is not None:
            refused = phase, decision.reply.code, decision.rule
            break
    client.hang_up()
    await client.engine.drain()
    return refused, {number for number, question in enumerate(questions) if question.asked}, client


@settings(deadline=None)  # milliseconds measure the machine
@given(written_rules(), st.booleans())
def test_the_engine_decides_as_the_reference_does(rules: list[Written], delay_reject: bool) -> None:
    expected, reached = reference(rules, delay_reject)
    with patch.object(log, "disabled", True):  # hundreds of failures on purpose
        refused, asked, client = asyncio.run(engine(rules, delay_reject))
    assert refused == expected
    effects = {number for number, written in enumerate(rules) if written.kind == "effects"}
    assert asked & effects == reached & effects, "what has effects runs when it is reached, and only then"
    entries = [entry for record in client.settled for entry in record.rules]
    assert {entry.rule for entry in entries} == {f"rule {number}" for number in reached}
    assert all(entry.verdict != "unfinished" for entry in entries)
