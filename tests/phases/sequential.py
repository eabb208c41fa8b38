"""The plainest possible reading of the engine's rules: one rule after the other, no tasks, no memory, nothing early.

What the engine decides must be what this decides, however fast or slow the answers come.
"""

import asyncio
from collections.abc import Mapping, Sequence

from smtpgate.mailauth.message import UNCHANGED
from smtpgate.phases.asking import Limits
from smtpgate.phases.context import Context
from smtpgate.phases.engine import ENDLESS
from smtpgate.phases.facts import Transaction
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.policy import Policies, Policy
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import Rule
from smtpgate.phases.score import keep_score, score_before
from smtpgate.phases.verdict import Action, Decision, Verdict, defer

REFUSALS = (Action.REJECT, Action.DEFER, Action.DEFER_IF_PERMIT)
EARLY = (Phase.CLIENT, Phase.HELO, Phase.MAIL)
FAILED: Mapping[str, Verdict] = {
    "defer": defer(Reply(451, "3.0", "Temporary internal error, please try again later")),
    "permit": Verdict(Action.PERMIT),
    "skip": Verdict(Action.DUNNO),
}


class Sequential:
    """As the engine, in what it decides. reached: the rules that were asked in their place."""

    def __init__(
        self,
        lists: Mapping[Phase, Sequence[Rule]],
        ctx: Context,
        *,
        delay_reject: bool = True,
        policies: Sequence[Policy] = (),
    ) -> None:
        self._policies = Policies({phase: tuple(lists.get(phase, ())) for phase in Phase}, policies)
        self._ctx = ctx
        self._delay_reject = delay_reject
        self._session_carries: Decision | None = None
        self._transaction_carries: Decision | None = None
        self.reached: set[str] = set()

    async def decide(self, phase: Phase, tx: Transaction) -> Decision:
        if self._delay_reject and phase in EARLY:
            return Decision()
        tx.phase = phase
        tx.score = score_before(phase, tx)
        held: Decision | None = None
        if not self._delay_reject:
            held = self._held(phase)
        for part in (*EARLY, phase) if phase is Phase.RCPT and self._delay_reject else (phase,):
            refusal, held = await self._walk(self._policies.of(phase, tx).lists[part], tx, held)
            if refusal is not None:
                return refusal
        keep_score(phase, tx)
        if phase in EARLY:
            self._hold(phase, held)
            return Decision()
        apart = self._policies.apart(tx) if phase is Phase.RCPT and held is None else None
        return Decision(apart, "smtpgate") if apart else held or Decision()

    def _held(self, phase: Phase) -> Decision | None:
        match phase:
            case Phase.CLIENT | Phase.DATA | Phase.END_OF_DATA:
                return None
            case Phase.RCPT:
                return self._transaction_carries
            case _:
                return self._session_carries

    def _hold(self, phase: Phase, held: Decision | None) -> None:
        if phase is Phase.MAIL:
            self._transaction_carries = held
        else:
            self._session_carries = held

    async def _walk(
        self, rules: Sequence[Rule], tx: Transaction, if_permit: Decision | None
    ) -> tuple[Decision | None, Decision | None]:
        if_reject: Decision | None = None
        waiting, nested = list(rules), 0
        while waiting:
            rule = waiting.pop(0)
            if not tx.has_recipient and rule.spec.input is Input.RECIPIENT:
                continue
            if tx.has_recipient and rule.spec.ours_only and not self._ctx.is_ours(tx.recipient):
                continue
            self.reached.add(rule.text)
            verdict = await self._ask(rule, tx)
            if rule.warns and verdict is not FAILED[rule.on_error] and verdict.action in REFUSALS:
                verdict = verdict._replace(action=Action.DUNNO)
            if verdict.rules and not (rule.shadow and (rule.spec.lookup or rule.spec.effects)):
                nested += 1
                if nested <= 100:
                    waiting = [*verdict.rules, *waiting]
                elif not rule.shadow:
                    return ENDLESS, None
            if rule.shadow:
                continue
            if verdict.results:
                tx.tagged[rule.key] = verdict
            if verdict.points:
                tx.give(rule, verdict.points)
            tx.deeds = tuple(dict.fromkeys((*tx.deeds, *verdict.deeds)))
            for number, edit in verdict.edits:
                tx.edits = {**tx.edits, number: tx.edits.get(number, UNCHANGED).then(edit)}
            decision = Decision(verdict.reply, rule.text)
            if verdict.action is Action.PERMIT:
                break
            if verdict.action in (Action.REJECT, Action.DEFER):
                assert verdict.reply is not None
                return (decision if verdict.reply.is_temporary else if_reject or decision), None
            if verdict.action is Action.DEFER_IF_PERMIT:
                if_permit = if_permit or decision
            if verdict.action is Action.DEFER_IF_REJECT:
                if_reject = if_reject or decision
            if if_permit and if_reject:
                break
        return None, if_permit

    async def _ask(self, rule: Rule, tx: Transaction) -> Verdict:
        try:
            async with asyncio.timeout(None if rule.spec.own_deadline else Limits().rule_timeout):
                return await rule.check(tx, self._ctx)
        except Exception:
            return FAILED[rule.on_error]
