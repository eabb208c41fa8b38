"""Asking one rule: in its turn or ahead of it, bounded in time, and once for as long as its answer holds."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from smtpgate.dns.deadlines import Deadlines
from smtpgate.dns.interruption import Interruption
from smtpgate.dns.time_limit import LookupTime
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Session, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import OnError, Rule
from smtpgate.phases.verdict import DUNNO, PERMIT, Verdict, defer
from smtpgate.store.greylist import StoreError

log = logging.getLogger(__name__)

INTERNAL_ERROR = Reply(451, "3.0", "Temporary internal error, please try again later")
_ON_ERROR: Mapping[OnError, Verdict] = {"defer": defer(INTERNAL_ERROR), "permit": PERMIT, "skip": DUNNO}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the engine. Times in seconds.

    phase_timeout: how long a client may wait for look-ups before one answer; session_timeout: before all answers.
    rule_timeout: for one rule; above the longest deadline that a check keeps itself (SPF: 20).
    shadow_grace: how long a record waits for shadow rules after the last reply.
    tasks_per_session: look-ups in flight for one session. settling: records that may wait at one time.
    """

    phase_timeout: float = 20.0
    session_timeout: float = 60.0
    rule_timeout: float = 25.0
    shadow_grace: float = 2.0
    tasks_per_session: int = 32
    settling: int = 2000


@dataclass(slots=True, eq=False)
class Outcome:
    """What asking a rule led to. us: how many microseconds it took. error: what went wrong in it, for the record."""

    verdict: Verdict
    us: int
    error: str | None = None


Task = asyncio.Task[Outcome]


class Asker:
    """Runs checks and remembers what they answered; whatever goes wrong inside one is what its rule's on_error says.

    ctx: handed to every check.
    """

    def __init__(self, ctx: Context, limits: Limits) -> None:
        self._ctx = ctx
        self._limits = limits
        self._running: Deadlines[Interruption] = Deadlines(limits.rule_timeout, Interruption.interrupt, _now)

    async def outcome(self, rule: Rule, tx: Transaction) -> Outcome:
        """Ask a rule, or take the answer that still holds."""
        memo = tx.memo_for(rule.spec.input) if rule.spec.memo else {}
        kept: Task | Outcome | None = memo.get(rule.key)
        if isinstance(kept, Outcome):
            return kept
        if rule.spec.lookup and (kept is None or not kept.done()):
            self._time(tx.session).start()
        outcome = memo[rule.key] = await (kept or self._ask(rule, tx))
        return outcome

    def _time(self, session: Session) -> LookupTime:
        """What the look-ups of a session have; only those that look something up have it."""
        if session.lookup_time is None:
            session.lookup_time = LookupTime(self._limits.phase_timeout, self._limits.session_timeout)
            session.lookup_time.enter()
        return session.lookup_time

    def start(self, rule: Rule, tx: Transaction) -> Task | Outcome | None:
        """Start asking a rule in the background, unless it was; None if too much is in flight."""
        memo = tx.memo_for(rule.spec.input)
        kept: Task | Outcome | None = memo.get(rule.key)
        if kept is None and tx.session.has_room_for(self._limits.tasks_per_session):
            if rule.spec.lookup:
                self._time(tx.session)  # now: the task takes over whose task this one is
            kept = asyncio.get_running_loop().create_task(
                self._ask_for_score(rule, tx) if rule.spec.score == "asks" else self._ask(rule, tx)
            )
            tx.session.tasks.add(kept)
            if rule.spec.memo:
                memo[rule.key] = kept
        return kept

    async def _ask_for_score(self, rule: Rule, tx: Transaction) -> Outcome:
        """Ask a threshold in shadow mode: what if the rules in shadow mode were enforced, too?"""
        return await self._ask(rule, tx.with_score(await tx.score.with_shadow()))

    async def _ask(self, rule: Rule, tx: Transaction) -> Outcome:
        """Run the check, bounded in time; whatever goes wrong inside it becomes the rule's on_error."""
        started = time.perf_counter()
        error = None
        limit = None if rule.is_cheap or rule.spec.own_deadline else self._limit()
        try:
            verdict = await rule.check(tx, self._ctx)
        except asyncio.CancelledError:
            if limit is None or not limit.happened():
                raise
            error = f"no answer within {self._limits.rule_timeout:g} s"
        except StoreError as trouble:
            error = f"store: {trouble}"
        except Exception as trouble:
            log.exception("rule %s failed", rule.text)
            error = f"{type(trouble).__name__}: {trouble}"
        finally:
            if limit is not None:
                self._running.stop(limit)
        if error is not None:
            verdict = _ON_ERROR[rule.on_error]
        return Outcome(verdict, int((time.perf_counter() - started) * 1e6), error)

    def _limit(self) -> Interruption:
        """What ends the check that this task is going to wait for, if it takes too long."""
        loop = asyncio.get_running_loop()
        interruption = Interruption(loop)
        self._running.start(interruption, loop.time())
        return interruption


def _now() -> float:
    """The loop's own time, which its timers keep."""
    return asyncio.get_running_loop().time()
