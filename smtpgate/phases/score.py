"""The score: points that rules give, and which of them a threshold sees, wherever it stands.

Rules it keeps:
- A rule's points are counted once, however often its list is walked: the sum does not depend on who answered first.
- What was found about the client or the sender counts for every recipient of the transaction, what was found about
  a recipient for that one alone; after RCPT, for the message if it is its only one.
- A rule in shadow mode gives points that only thresholds in shadow mode see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smtpgate.phases.phase import Input, Phase

if TYPE_CHECKING:
    from smtpgate.phases.facts import Transaction


@dataclass(frozen=True, slots=True)
class Points:
    """What one finding gives. name: the list or the rule, as it may be shown. temporary: it may be gone later, or rest
    on a failure of ours, so that no refusal for good can be built upon it.
    """

    name: str
    value: int
    temporary: bool = False


class Score:
    """What has been given so far. given: by rule. shadow: by rule in shadow mode, its outcome or the task of it."""

    __slots__ = ("given", "shadow")

    def __init__(self) -> None:
        self.given: dict[Any, tuple[Points, ...]] = {}
        self.shadow: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[Points]:
        for points in self.given.values():
            yield from points

    def add(self, other: Score, *, about_recipients: bool = True) -> None:
        """Take over what another one has; without about_recipients not what was found about one recipient."""
        for mine, others in ((self.given, other.given), (self.shadow, other.shadow)):
            mine.update(
                (rule, kept) for rule, kept in others.items()
                if about_recipients or rule.spec.input is not Input.RECIPIENT
            )  # fmt: skip

    async def with_shadow(self) -> Score:
        """The same and what rules in shadow mode give, once those that were asked have answered."""
        tasks = [kept for kept in self.shadow.values() if isinstance(kept, asyncio.Task)]
        if tasks:
            await asyncio.wait(tasks)
        whole = Score()
        whole.given.update(self.given)
        for rule, kept in self.shadow.items():
            if not isinstance(kept, asyncio.Task):
                whole.given[rule] = kept.verdict.points
            elif not kept.cancelled():
                whole.given[rule] = kept.result().verdict.points
        return whole


def score_before(phase: Phase, tx: Transaction) -> Score:
    """What the phases before this one have given."""
    score = Score()
    match phase:
        case Phase.HELO | Phase.MAIL:
            kept = tx.session.scores.get(Phase(phase - 1))
        case Phase.RCPT:
            kept = tx.scores.get(Phase.MAIL)
        case Phase.DATA | Phase.END_OF_DATA:
            kept = tx.scores.get(Phase.DATA)
            for recipient in tx.recipients if tx.scores else ():
                if recipient.text in tx.scores:
                    score.add(tx.scores[recipient.text], about_recipients=tx.has_recipient)
        case _:
            kept = None
    if kept is not None:
        score.add(kept)
    return score


def keep_score(phase: Phase, tx: Transaction) -> None:
    """Remember what has been given up to the end of this phase, for those behind it."""
    if phase in (Phase.CLIENT, Phase.HELO):
        tx.session.scores[phase] = tx.score
    elif tx.score.given or tx.score.shadow:
        tx.scores[tx.recipient.text if phase is Phase.RCPT else phase] = tx.score
