"""The engine: evaluates rules in the order written, starts their look-ups early, and is the one choke point.

Rules it keeps:
- The first verdict other than DUNNO ends the list; PERMIT ends only its own phase's list.
- The first DEFER_IF_PERMIT is carried to the end of RCPT (or DATA, or END_OF_DATA); the first DEFER_IF_REJECT
  to the end of its list.
- A rule in shadow mode is evaluated and recorded, and nothing waits for it.
- A rule that only warns is asked like any other, and its refusal is recorded and held back.
- Points that rules give are added up where the rules stand, whoever answers first.
- A failure inside a check is what the rule's on_error says (asking.py); its text never leaves the record.
- Nothing else applies modes, records verdicts or turns verdicts into replies.
"""

import asyncio
import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

from smtpgate.mailauth.message import UNCHANGED
from smtpgate.phases.asking import Asker, Limits, Outcome
from smtpgate.phases.context import Context
from smtpgate.phases.early import walk_of, walks
from smtpgate.phases.facts import Transaction
from smtpgate.phases.message_action import joined
from smtpgate.phases.phase import DELAYED, Input, Phase
from smtpgate.phases.policy import Policies, Policy
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import Rule
from smtpgate.phases.score import keep_score, score_before
from smtpgate.phases.settling import Settling
from smtpgate.phases.verdict import DUNNO, GO_ON, Action, Decision, Verdict
from smtpgate.record import Record, RuleEntry

# Postfix has the same bound, and the same answer.
_MOST_NESTED = 100
_REFUSES = (Action.REJECT, Action.DEFER, Action.DEFER_IF_PERMIT)
_RECIPIENT = Input.RECIPIENT  # in Python 3.11 an enum is slow to give its members
_NOT_ASKED = "not asked: too many look-ups of this session in flight"
ENDLESS = Decision(Reply(451, "3.5", "Server configuration error"), "rules that lead to themselves")


class Engine:
    """Evaluates the configured rules of all phases.

    lists: the rules of each phase, in order. ctx: handed to every check. delay_reject: CLIENT, HELO and MAIL lists
    are answered at RCPT (Postfix: smtpd_delay_reject). policies: for recipients who have rules of their own.
    settling: what becomes of rules that are still being asked when their transaction or session is over.
    """

    def __init__(
        self,
        lists: Mapping[Phase, Sequence[Rule]],
        ctx: Context,
        *,
        delay_reject: bool = True,
        policies: Sequence[Policy] = (),
        limits: Limits | None = None,
    ) -> None:
        self._policies = Policies(
            {phase: tuple(lists.get(phase, ())) for phase in Phase}, policies, ctx.recipient_delimiter
        )
        self._ctx = ctx
        self._delay_reject = delay_reject
        self._early = {
            policy.name: [walks(policy, phase, delay_reject=delay_reject) for phase in Phase]
            for policy in self._policies
        }
        self._has_score = any(
            rule.spec.score for policy in self._policies for rules in policy.lists.values() for rule in rules
        )
        self._concerned = [self._has_work_in(phase) for phase in Phase]
        limits = limits or Limits()
        self._asker = Asker(ctx, limits)
        self.settling = Settling(limits.shadow_grace, limits.settling)

    def is_concerned(self, phase: Phase) -> bool:
        """Whether there is anything to be asked, started or passed on in a phase."""
        return self._concerned[phase]

    def waits_for_rcpt(self, phase: Phase) -> bool:
        """Whether a phase's list is answered at RCPT (Postfix: smtpd_delay_reject)."""
        return self._delay_reject and phase in DELAYED

    def _has_work_in(self, phase: Phase) -> bool:
        if phase is Phase.RCPT or any(early[phase] for early in self._early.values()):
            return True
        if phase not in DELAYED:
            return any(policy.lists[phase] for policy in self._policies)
        # What the lists before it have left, deferrals and points, goes through it even if it has no rules.
        up_to_it = [policy.lists[of] for policy in self._policies for of in DELAYED if of <= phase]
        return not self._delay_reject and any(up_to_it)

    async def prefetch(self, phase: Phase, tx: Transaction) -> None:
        """Start every look-up whose input is known in this phase, in whichever list it stands.

        Lists that were answered are done with. A list is walked as far as its cheap rules let it: behind one that
        ends it nothing will be asked. What only a policy asks starts when the recipient is known.
        """
        for rules in self._early[self._policies.of(phase, tx).name][phase]:
            await self._start_ahead(rules, tx)

    async def _start_ahead(self, rules: Sequence[Rule], tx: Transaction) -> None:
        """Start the look-ups of a list, up to the cheap rule that ends it."""
        for rule in rules:
            if rule.for_some and self._is_not_asked(rule, tx):
                continue
            if rule.starts_early:
                self._asker.start(rule, tx)
            elif (await self._asker.outcome(rule, tx)).verdict.ends_list:
                break

    async def decide(self, phase: Phase, tx: Transaction, record: Record) -> Decision:
        """Evaluate a phase's list; at RCPT the delayed ones before it."""
        if self.waits_for_rcpt(phase):
            return GO_ON
        try:
            return await self._decide(phase, tx, record)
        finally:
            if tx.session.lookup_time is not None:
                tx.session.lookup_time.stop()

    async def _decide(self, phase: Phase, tx: Transaction, record: Record) -> Decision:
        tx.phase, tx.ref = phase, record.ref
        parts = (*DELAYED, phase) if phase is Phase.RCPT and self._delay_reject else (phase,)
        carried = self._carried_into(phase, tx)
        lists = self._policies.of(phase, tx).lists
        if self._has_score:
            tx.score = score_before(phase, tx)
        for part in filter(lists.get, parts):  # most are empty
            final, carried = await self._evaluate(lists[part], tx, record, carried)
            if final is not None:
                self._cancel_unneeded(tx, record)
                return final
        if self._has_score:
            keep_score(phase, tx)
        if phase in DELAYED:
            # As in Postfix, a deferral found here is not answered before RCPT.
            self._carry_out_of(phase, tx, carried)
            return GO_ON
        if carried is None and phase is Phase.RCPT and (apart := self._policies.apart(tx)):
            return Decision(apart, "smtpgate")
        return carried or GO_ON

    async def _evaluate(
        self, rules: Sequence[Rule], tx: Transaction, record: Record, if_permit: Decision | None
    ) -> tuple[Decision | None, Decision | None]:
        """Walk one list. Returns the refusal that ends everything, and the first DEFER_IF_PERMIT so far.

        if_permit: that of the lists before. With a DEFER_IF_REJECT besides, the list ends, as in Postfix: whatever a
        rule behind says, the list comes to a deferral.
        """
        if_reject: Decision | None = None
        nested, remaining = 0, iter(rules)
        while (rule := next(remaining, None)) is not None and not (if_permit and if_reject):
            if rule.for_some and self._is_not_asked(rule, tx):
                continue
            verdict = (
                await self._shadow(rule, tx, record)
                if rule.shadow
                else self._noted(rule, tx, record, await self._asker.outcome(rule, tx))
            )
            if verdict.rules:  # they are asked in this place
                nested += 1
                if nested <= _MOST_NESTED:
                    await self._nest(verdict.rules, tx)
                    remaining = itertools.chain(verdict.rules, remaining)
                elif not rule.shadow:
                    return ENDLESS, None
            if rule.shadow or verdict is DUNNO:
                continue
            _keep(rule, verdict, tx)
            if verdict.action is DUNNO.action:
                continue
            decision = Decision(verdict.reply, rule.text)
            match verdict.action:
                case Action.PERMIT:
                    break
                case Action.REJECT | Action.DEFER:
                    permanent = verdict.reply is not None and not verdict.reply.is_temporary
                    return (if_reject if permanent and if_reject else decision), None
                case Action.DEFER_IF_PERMIT:
                    if_permit = if_permit or decision
                case Action.DEFER_IF_REJECT:
                    if_reject = if_reject or decision
        return None, if_permit

    def _noted(self, rule: Rule, tx: Transaction, record: Record, outcome: Outcome) -> Verdict:
        """Note in the record what a rule answered, in its turn; returns what counts of it."""
        self._list(rule, tx, record, outcome)
        return _without_refusal(outcome) if rule.warns else outcome.verdict

    async def _nest(self, rules: Sequence[Rule], tx: Transaction) -> None:
        """Rules that a verdict has named will be asked now."""
        # Their points must last beyond this phase, though no list gives any.
        self._has_score = self._has_score or any(named.spec.score for named in rules)
        await self._start_ahead(walk_of(rules), tx)

    def _is_not_asked(self, rule: Rule, tx: Transaction) -> bool:
        """Whether there is nobody to ask about.

        It asks about a recipient where there is no single one (Postfix: DATA and END_OF_DATA after several), or about
        recipients of ours only, and this is none.
        """
        if not tx.has_recipient:
            return rule.spec.input is _RECIPIENT
        return rule.spec.ours_only and not self._ctx.is_ours(tx.recipient)

    async def _shadow(self, rule: Rule, tx: Transaction, record: Record) -> Verdict:
        """Ask a rule whose answer changes nothing: only a cheap one is waited for. Returns what is known at once."""
        if rule.is_cheap and rule.spec.score != "asks":
            outcome = await self._asker.outcome(rule, tx)
            self._list(rule, tx, record, outcome)
            if outcome.verdict.points:
                tx.give_in_shadow(rule, outcome)
            return outcome.verdict
        place = len(record.rules)
        is_new = self._list(rule, tx, record, None)
        if not is_new and not rule.spec.memo:
            return DUNNO
        task = self._asker.start(rule, tx)
        if task is not None and rule.spec.score == "gives":
            tx.give_in_shadow(rule, task)
        if place == len(record.rules):  # it has an entry already, or there is no room for one
            return DUNNO
        complete = functools.partial(_complete, record.rules, place, rule)
        if isinstance(task, Outcome):
            complete(task)
        elif task is None:
            record.rules[place] = record.rules[place]._replace(error=_NOT_ASKED)
        else:
            record.pending[task] = complete
        return DUNNO

    def _list(self, rule: Rule, tx: Transaction, record: Record, outcome: Outcome | None) -> bool:
        """Note a rule in the record, once for each input it was asked about; whether this is the first time."""
        recipient = tx.recipient.text if rule.spec.input is _RECIPIENT else None
        key = (rule, recipient, None if rule.spec.memo or outcome is None else outcome.verdict.action)
        if key in record.listed:
            return False
        if record.add(record.rules, _entry(rule, recipient, outcome)):
            record.listed.add(key)
        return True

    def _carried_into(self, phase: Phase, tx: Transaction) -> Decision | None:
        """The deferral that earlier phases left for this one, where they were answered themselves."""
        if self._delay_reject:
            return None
        if phase is Phase.RCPT:
            return tx.carried
        before = {Phase.HELO: Phase.CLIENT, Phase.MAIL: Phase.HELO}.get(phase)
        return tx.session.carried.get(before) if before is not None else None

    def _carry_out_of(self, phase: Phase, tx: Transaction, carried: Decision | None) -> None:
        if phase is Phase.MAIL:
            tx.carried = carried
        else:
            tx.session.carried[phase] = carried

    def _cancel_unneeded(self, tx: Transaction, record: Record) -> None:
        """This recipient is refused: stop what was asked about it alone."""
        for task in tx.memo_for(Input.RECIPIENT).values():
            if isinstance(task, asyncio.Task) and task not in record.pending:
                task.cancel()


def _keep(rule: Rule, verdict: Verdict, tx: Transaction) -> None:
    """What a verdict leaves behind, whether or not it ends the list."""
    if verdict.results or verdict.received_spf:
        tx.tagged[rule.key] = verdict
    if verdict.points:
        tx.give(rule, verdict.points)
    if verdict.deeds:
        wanted = tuple(dataclasses.replace(deed, by=rule.text) for deed in verdict.deeds)
        tx.deeds = joined(tx.deeds, wanted)
    for number, edit in verdict.edits:
        tx.edits = {**tx.edits, number: tx.edits.get(number, UNCHANGED).then(edit)}


def _without_refusal(outcome: Outcome) -> Verdict:
    """What counts of a rule that only warns.

    Postfix (smtpd_check.c: smtpd_check_reject): neither our own errors nor DEFER_IF_REJECT are hidden, since mail might
    be lost for them.
    """
    verdict = outcome.verdict
    if outcome.error is not None or verdict.action not in _REFUSES:
        return verdict
    return verdict._replace(action=Action.DUNNO)


def _entry(rule: Rule, recipient: str | None, outcome: Outcome | None) -> RuleEntry:
    if outcome is None:
        return RuleEntry(rule.phase.key, rule.text, rule.mode, recipient, policy=rule.policy)
    verdict = outcome.verdict
    return RuleEntry(
        rule.phase.key,
        rule.text,
        rule.mode,
        recipient,
        "error" if outcome.error else verdict.action,
        verdict.reply.line() if verdict.reply else None,
        verdict.evidence or None,
        outcome.us,
        outcome.error,
        rule.policy,
    )


def _complete(entries: list[RuleEntry], place: int, rule: Rule, outcome: Outcome) -> None:
    """An answer that nobody waited for has come. What it would have put in its place is only named."""
    entry = _entry(rule, entries[place].recipient, outcome)
    if named := [rule.text for rule in outcome.verdict.rules]:
        entry = entry._replace(evidence={**outcome.verdict.evidence, "would_ask": named})
    entries[place] = entry
