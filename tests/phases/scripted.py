"""Checks whose answers a test writes, and a client that walks an engine through the phases as the dialog does."""

import asyncio
import ipaddress

from smtpgate.dnsbl.lists import DnsLists
from smtpgate.mailauth.message import Message
from smtpgate.phases.asking import Limits
from smtpgate.phases.context import Context
from smtpgate.phases.engine import Engine
from smtpgate.phases.facts import Address, Session, Transaction
from smtpgate.phases.phase import KNOWN_IN, Input, Phase
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import CheckSpec, Mode, OnError, Rule
from smtpgate.phases.verdict import DUNNO, GO_ON, Action, Decision, Verdict
from smtpgate.record import Record
from tests.fakes import Clock, FakeDns

CONTEXT = Context(FakeDns(), DnsLists(FakeDns()), greylist=None, clock=Clock(), hostname="mx.example.org")  # type: ignore[arg-type]


class Question:
    """A check that answers what the test says.

    gate: the answer is held until it is set. error: raised instead. asked: how often. started: set when it is asked;
    cancelled: set when nobody wanted the answer any more.
    """

    def __init__(
        self, verdict: Verdict = DUNNO, *, gate: asyncio.Event | None = None, error: Exception | None = None
    ) -> None:
        self.verdict = verdict
        self.gate = gate
        self.error = error
        self.asked = 0
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, tx: Transaction, ctx: Context) -> Verdict:
        self.asked += 1
        self.started.set()
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if self.error is not None:
            raise self.error
        return self.verdict


def says(action: Action, code: int | None = None, text: str = "") -> Verdict:
    """A verdict with a reply where it needs one: 554 for REJECT, else 450."""
    if action in (Action.DUNNO, Action.PERMIT):
        return Verdict(action)
    return Verdict(action, Reply(code or (554 if action is Action.REJECT else 450), "7.1", text))


def rule(
    phase: Phase,
    question: Question,
    *,
    text: str = "scripted",
    input: Input | None = None,
    lookup: bool = False,
    effects: bool = False,
    memo: bool = True,
    shadow: bool = False,
    warns: bool = False,
    on_error: OnError = "defer",
) -> Rule:
    """A rule that asks a question; its input is what its phase knows, unless said otherwise."""
    known = KNOWN_IN[phase] if input is None else input
    spec = CheckSpec(text, question, known, lookup=lookup, effects=effects, memo=memo)
    mode: Mode = "shadow" if shadow else "warn" if warns else "enforce"
    return Rule(spec, question, text, phase, mode, on_error)


def mailbox(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(text, local, domain)


class Client:
    """One session with an engine over some rules. Each method is one command and returns what was decided."""

    def __init__(self, *rules: Rule, delay_reject: bool = True, limits: Limits | None = None) -> None:
        lists = {phase: [rule for rule in rules if rule.phase is phase] for phase in Phase}
        self.engine = Engine(lists, CONTEXT, delay_reject=delay_reject, limits=limits)
        self.session = Session(ipaddress.ip_address("192.0.2.1"), 4711, "test")
        self.tx = Transaction(self.session)
        self.record = self.outside = new_record()
        self.settled: list[Record] = []

    async def connect(self) -> Decision:
        return await self._ask(Phase.CLIENT, self.tx)

    async def helo(self, name: str = "client.example.net") -> Decision:
        self.session.set_helo(name, esmtp=True)
        return await self._ask(Phase.HELO, self.tx)

    async def mail(self, sender: str = "a@example.net") -> Decision:
        self.tx = Transaction(self.session, mailbox(sender))
        self.record = new_record()
        return await self._ask(Phase.MAIL, self.tx)

    async def rcpt(self, recipient: str = "b@example.org") -> Decision:
        view = self.tx.about(mailbox(recipient))
        decision = await self._ask(Phase.RCPT, view)
        if decision.reply is None:
            self.tx.recipients.append(mailbox(recipient))
            self.tx.deeds = view.deeds
        return decision

    async def data(self) -> Decision:
        recipients = self.tx.recipients
        view = self.tx.about(recipients[0]) if len(recipients) == 1 else self.tx
        return await self._ask(Phase.DATA, view)

    async def end_of_data(self) -> Decision:
        view = self.tx.with_message(Message(b"Subject: x\r\n\r\nbody\r\n"))
        return await self._ask(Phase.END_OF_DATA, view)

    async def up_to_rcpt(self) -> Decision:
        """Say everything up to one RCPT; what was decided there, or at the first refusal before it."""
        for command in (self.connect, self.helo, self.mail, self.rcpt):
            decision = await command()
            if decision.reply is not None:
                break
        return decision

    def end_transaction(self) -> None:
        self.engine.settling.settle(self.tx, self.record, self.settled.append)

    def hang_up(self) -> None:
        """What the dialog does when the client is gone: all of it at once."""
        if self.record is not self.outside:
            self.end_transaction()
        self.engine.settling.settle(Transaction(self.session), self.outside, self.settled.append)
        self.engine.settling.end_session(self.session)

    async def _ask(self, phase: Phase, tx: Transaction) -> Decision:
        if not self.engine.is_concerned(phase):
            return GO_ON
        await self.engine.prefetch(phase, tx)
        return await self.engine.decide(phase, tx, self.record)


def new_record() -> Record:
    return Record(at=0.0, client="192.0.2.1", listener="test")
