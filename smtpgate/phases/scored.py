"""A rule with the option `score`: its refusal, or its permission, becomes points."""

import dataclasses

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.rule import Check, CheckSpec
from smtpgate.phases.score import Points
from smtpgate.phases.verdict import Action, Verdict

_FOUND = (Action.REJECT, Action.DEFER, Action.PERMIT)


def scored(check: Check, name: str, value: int) -> Check:
    """A check that never decides: what ends a list otherwise gives points, and nothing else of it is done.

    DEFER_IF_PERMIT and DEFER_IF_REJECT say that something could not be found out, and give none.
    """

    async def ask(tx: Transaction, ctx: Context) -> Verdict:
        verdict = await check(tx, ctx)
        if verdict.action not in _FOUND:
            return Verdict(Action.DUNNO, None, verdict.evidence, verdict.results, verdict.received_spf)
        temporary = verdict.reply is not None and verdict.reply.is_temporary
        points = Points(str(verdict.evidence.get("list") or name), value, temporary)
        evidence = {**verdict.evidence, "points": value}
        return Verdict(Action.DUNNO, None, evidence, verdict.results, verdict.received_spf, (points,))

    return ask


def scored_spec(spec: CheckSpec) -> CheckSpec:
    """The row of a check whose rule gives points: it guards nothing and ends no list."""
    return dataclasses.replace(spec, guard=False, terminal=False, on_error="skip", score="gives")
