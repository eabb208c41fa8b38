"""The engine decides as if it asked one rule after the other, and never makes a client wait longer than that would."""

import dataclasses
import ipaddress
import itertools
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.mailauth.message import Message
from smtpgate.phases.asking import Limits, log
from smtpgate.phases.context import Context
from smtpgate.phases.engine import Engine
from smtpgate.phases.facts import Session, Transaction
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.phases.phase import KNOWN_IN, Input, Phase
from smtpgate.phases.policy import Policy
from smtpgate.phases.rule import Check, CheckSpec, Mode, OnError, Rule
from smtpgate.phases.score import Points
from smtpgate.phases.verdict import GO_ON, Action, Verdict
from smtpgate.record import Record
from tests import virtual_time
from tests.phases.scripted import CONTEXT, mailbox, new_record, says
from tests.phases.sequential import EARLY, Sequential

HELO_NAMES = ("one.example.net", "two.example.net")
SENDERS = ("a@example.net", "b@example.net")
RECIPIENTS = ("x@example.org", "y@example.org", "x@elsewhere.example")
OWN_RULES = "x@example.org"
CONTEXT_OF_OURS = dataclasses.replace(CONTEXT, relay_domains=frozenset({"example.org"}))
RULE_TIMEOUT = Limits().rule_timeout
CLASSES = 2
MODES: tuple[Mode, ...] = ("enforce", "warn", "shadow")


@dataclass(frozen=True)
class Said:
    """One answer of a check. code: of a refusal. after: seconds. names: the class that it names, or -1."""

    action: Action
    code: int
    after: float
    fails: bool = False
    names: int = -1
    holds: bool = False


@dataclass(frozen=True)
class Written:
    """A check with its options, as it may stand in several places, which share its answers.

    kind: "cheap", "lookup" or "effects". score: "gives", "asks" or "". said: its answers; which of them it gives
    depends on what it is asked about, and without memo also on how many recipients were accepted.
    """

    known: Input
    kind: str
    memo: bool
    on_error: OnError
    ours_only: bool
    score: str
    said: tuple[Said, ...]


Placed = tuple[Written, Mode]


@dataclass(frozen=True)
class Configuration:
    """lists: everybody's. classes: lists that answers name; they know what CLIENT knows. own: those of OWN_RULES."""

    delay_reject: bool
    lists: dict[Phase, list[Placed]]
    classes: list[list[Placed]]
    own: dict[Phase, list[Placed]]


@dataclass(frozen=True)
class Try:
    """A transaction. helo: what is said before it, if anything. pause: seconds before each command."""

    helo: int | None
    sender: int
    recipients: tuple[int, ...]
    pause: float


DELAYS = (0.0, 0.02, 0.02, 0.1, 1.0, RULE_TIMEOUT + 1)
ACTIONS = (*Action, Action.DUNNO, Action.DUNNO, Action.DUNNO, Action.DUNNO)


@st.composite
def answers(draw: st.DrawFn, kind: str) -> Said:
    action = draw(st.sampled_from(ACTIONS))
    return Said(
        action,
        draw(st.sampled_from([450, 554])) if action is Action.REJECT else 450,
        0.0 if kind == "cheap" else draw(st.sampled_from(DELAYS)),
        draw(st.integers(0, 7)) == 7,
        draw(st.integers(-1, CLASSES - 1)) if action is Action.DUNNO else -1,
        draw(st.integers(0, 5)) == 5,
    )


@st.composite
def written_rules(draw: st.DrawFn) -> Written:
    kind = draw(st.sampled_from(["cheap", "lookup", "lookup", "effects"]))
    return Written(
        draw(st.sampled_from(Input)),
        kind,
        draw(st.integers(0, 4)) < 4,
        draw(st.sampled_from(["defer", "permit", "skip"])),
        draw(st.integers(0, 6)) == 6,
        draw(st.sampled_from(["", "", "", "gives", "asks"])),
        tuple(draw(st.lists(answers(kind), min_size=1, max_size=3))),
    )


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    delay_reject = draw(st.booleans())
    pool = draw(st.lists(written_rules(), min_size=1, max_size=10, unique=True))

    def placed(most: Input, size: int = 4) -> list[Placed]:
        fitting = [written for written in pool if written.known <= most]
        if not fitting:
            return []
        mode = st.sampled_from(["enforce", "enforce", "enforce", "enforce", "warn", "shadow"])
        return draw(st.lists(st.tuples(st.sampled_from(fitting), mode), max_size=size))

    def of(phase: Phase) -> list[Placed]:
        return placed(Input.RECIPIENT if delay_reject and phase in EARLY else KNOWN_IN[phase])

    own = [phase for phase in Phase if draw(st.integers(0, 3)) == 3 and (delay_reject or phase not in EARLY)]
    return Configuration(
        delay_reject,
        {phase: of(phase) for phase in Phase},
        [placed(Input.CLIENT, 3) for _ in range(CLASSES)],
        {phase: of(phase) for phase in own},
    )


tries = st.builds(
    Try,
    st.sampled_from([None, None, 0, 1]),
    st.integers(0, 1),
    st.lists(st.integers(0, 2), min_size=1, max_size=3).map(tuple),
    st.sampled_from([0.0, 0.01, 0.05, 2.0]),
)


class Bound:
    """A configuration's rules, as the engine has them. asked: those checks that were asked, answered or not."""

    def __init__(self, configuration: Configuration) -> None:
        self.asked: list[str] = []
        self.effects: set[str] = set()
        self._numbers = itertools.count()
        self._checks: dict[Any, tuple[str, Check]] = {}
        # Those of an answer that a rule in shadow mode gives are in shadow mode, too.
        self._classes = {
            (number, mode): tuple(
                self._rule(Phase.CLIENT, written, max(mode, own, key=MODES.index)) for written, own in rules
            )
            for number, rules in enumerate(configuration.classes)
            for mode in MODES
        }
        self.lists = self._lists(configuration.lists)
        own = self.lists | self._lists(configuration.own)
        self.policies = [Policy("own", (OWN_RULES,), own)] if configuration.own else []

    def _lists(self, lists: dict[Phase, list[Placed]]) -> dict[Phase, tuple[Rule, ...]]:
        return {
            phase: tuple(self._rule(phase, written, mode) for written, mode in rules) for phase, rules in lists.items()
        }

    def _rule(self, phase: Phase, written: Written, mode: Mode) -> Rule:
        names = any(said.names >= 0 for said in written.said)
        same = (written, mode if names else "enforce")
        if same not in self._checks:
            text = f"check {len(self._checks)}"
            self._checks[same] = text, self._check(text, written, mode)
        text, check = self._checks[same]
        is_asking = written.score == "asks"
        if written.kind == "effects" and not is_asking:
            self.effects.add(text)
        spec = CheckSpec(
            text,
            check,
            written.known,
            lookup=written.kind == "lookup" and not is_asking,
            effects=written.kind == "effects" and not is_asking,
            memo=written.memo and not is_asking,
            ours_only=written.ours_only,
            score=written.score or None,  # type: ignore[arg-type]
        )
        on_error: OnError = "skip" if written.score else written.on_error
        return Rule(spec, check, f"{text}, rule {next(self._numbers)}", phase, mode, on_error)

    def _check(self, text: str, written: Written, mode: Mode) -> Check:
        async def check(tx: Transaction, ctx: Context) -> Verdict:
            self.asked.append(text)
            if written.score == "asks":
                too_many = sum(one.value for one in tx.score) >= (1 if written.memo else 2)
                return says(Action.REJECT) if too_many else Verdict(Action.DUNNO)
            number = _subject(written.known, tx) + (0 if written.memo else len(tx.recipients))
            said = written.said[number % len(written.said)]
            if said.after:
                await virtual_time.pause(said.after)
            if said.fails:
                raise RuntimeError
            if written.score == "gives":
                return Verdict(Action.DUNNO, points=(Points(text, 1),))
            return dataclasses.replace(
                says(said.action, said.code, text),
                rules=self._classes[said.names, mode] if said.names >= 0 else (),
                deeds=(MessageAction(Deed.HOLD, text),) if said.holds else (),
                results=(MethodResult("test", text),) if said.holds else (),
            )

        return check


def _subject(known: Input, tx: Transaction) -> int:
    """The number of who is asked about."""
    match known:
        case Input.HELO:
            return HELO_NAMES.index(tx.helo)
        case Input.SENDER:
            return SENDERS.index(tx.sender.text)
        case Input.RECIPIENT:
            return RECIPIENTS.index(tx.recipient.text)
        case _:
            return 0


class Played:
    """A session as the dialog would have it, and what came of each command. waited: seconds that the client did."""

    def __init__(self, engine: Engine | Sequential) -> None:
        self._engine = engine
        self.said: list[Any] = []
        self.waited = 0.0
        self.records: list[Record] = []
        self._session = Session(ipaddress.ip_address("192.0.2.1"), 4711, "test")
        self._record = new_record()

    async def play(self, tries: list[Try]) -> None:
        if await self._refused(Phase.CLIENT, Transaction(self._session)):
            return
        for number, one in enumerate(tries):
            if (number == 0 or one.helo is not None) and await self._helo(one):
                break
            await self._transaction(one)
        if isinstance(self._engine, Engine):
            self._engine.settling.end_session(self._session)
            await self._engine.settling.drain()

    async def _helo(self, one: Try) -> bool:
        await virtual_time.pause(one.pause)
        self._session.set_helo(HELO_NAMES[one.helo or 0], esmtp=True)
        return await self._refused(Phase.HELO, Transaction(self._session))

    async def _transaction(self, one: Try) -> None:
        tx = Transaction(self._session, mailbox(SENDERS[one.sender]))
        self._record = new_record()
        await virtual_time.pause(one.pause)
        if not await self._refused(Phase.MAIL, tx):
            for recipient in one.recipients:
                view = tx.about(mailbox(RECIPIENTS[recipient]))
                await virtual_time.pause(one.pause)
                if not await self._refused(Phase.RCPT, view):
                    tx.recipients.append(view.recipient)
                    tx.deeds = view.deeds
            if tx.recipients:
                await self._content(one, tx)
        self.said.append((tx.deeds, [verdict.results for verdict in tx.tagged.values()], dict(tx.edits)))
        if isinstance(self._engine, Engine):
            self._engine.settling.settle(tx, self._record, self.records.append)

    async def _content(self, one: Try, tx: Transaction) -> None:
        view = tx.about(tx.recipients[0]) if len(tx.recipients) == 1 else tx
        await virtual_time.pause(one.pause)
        refused = await self._refused(Phase.DATA, view)
        tx.deeds = view.deeds
        if not refused:
            await virtual_time.pause(one.pause)
            view = tx.with_message(Message(b"Subject: x\r\n\r\nbody\r\n"))
            await self._refused(Phase.END_OF_DATA, view)
            tx.deeds, tx.edits = view.deeds, view.edits

    async def _refused(self, phase: Phase, tx: Transaction) -> bool:
        began = virtual_time.now()
        if isinstance(self._engine, Sequential):
            decision = await self._engine.decide(phase, tx)
        elif not self._engine.is_concerned(phase):
            decision = GO_ON
        else:
            await self._engine.prefetch(phase, tx)
            decision = await self._engine.decide(phase, tx, self._record)
        self.waited += virtual_time.now() - began
        self.said.append((phase, decision))
        return decision.reply is not None


@settings(deadline=None)  # milliseconds measure the machine
@given(configurations(), st.lists(tries, min_size=1, max_size=3), st.sampled_from([1, 3, 32]))
def test_the_engine_decides_as_if_it_asked_one_after_the_other(
    configuration: Configuration, tries: list[Try], tasks: int
) -> None:
    plain, bound = Bound(configuration), Bound(configuration)
    delay_reject = configuration.delay_reject
    sequential = Sequential(plain.lists, CONTEXT_OF_OURS, delay_reject=delay_reject, policies=plain.policies)
    expected = Played(sequential)
    virtual_time.run(expected.play(tries))
    engine = Engine(
        bound.lists,
        CONTEXT_OF_OURS,
        delay_reject=delay_reject,
        policies=bound.policies,
        limits=Limits(tasks_per_session=tasks),
    )
    played = Played(engine)
    with patch.object(log, "disabled", True):  # hundreds of failures on purpose
        virtual_time.run(played.play(tries))
    assert played.said == expected.said
    # The engine has one timer for the time limits of all rules, which may be a little late.
    assert played.waited <= expected.waited + 0.01
    asked = {check for check in bound.asked if check in bound.effects}
    assert asked <= {rule.partition(",")[0] for rule in sequential.reached}, "what has effects runs when it is reached"
    assert {entry.rule for record in played.records for entry in record.rules} <= sequential.reached
