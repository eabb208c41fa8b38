"""The end of a transaction or a session while rules are still being asked: what goes on, what stops, who waits."""

import asyncio
from collections.abc import Callable
from typing import Any

from smtpgate.phases.facts import Session, Transaction
from smtpgate.phases.phase import Input
from smtpgate.record import Record

_Task = asyncio.Task[Any]


class Settling:
    """Hands records over when their shadow rules are done.

    grace: seconds that a record waits for them after the last reply; then they stay "unfinished". most: records that
    may wait at one time. Nothing that a client does waits for it.
    """

    def __init__(self, grace: float, most: int) -> None:
        self._grace = grace
        self._most = most
        self._settling: set[asyncio.Task[None]] = set()
        self._graced: set[_Task] = set()

    def settle(self, tx: Transaction, record: Record, then: Callable[[Record], None]) -> None:
        """The transaction is over: stop what nobody needs, and hand over the record when its shadow rules are done."""
        pending: set[_Task] = {task for task in record.pending if not task.done()}
        for task in tx.memo_for(Input.SENDER).values():
            if isinstance(task, asyncio.Task) and task not in pending:
                task.cancel()
        if pending and len(self._settling) < self._most:
            self._graced |= pending  # at once: the session may end before the waiting has begun
            settling = asyncio.create_task(self._wait_for(pending, tx, record, then))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
        else:
            _hand_over(record, then)
        tx.session.forget_finished()

    def end_session(self, session: Session) -> None:
        """The client is gone: stop every look-up that no record waits for."""
        for task in session.tasks - self._graced:
            task.cancel()

    async def drain(self) -> None:
        """Wait until the last records are handed over; at most the grace of shadow rules."""
        if self._settling:
            await asyncio.wait(self._settling)

    async def _wait_for(
        self, pending: set[_Task], tx: Transaction, record: Record, then: Callable[[Record], None]
    ) -> None:
        try:
            _, late = await asyncio.wait(pending, timeout=self._grace)
        finally:
            self._graced -= pending
            _hand_over(record, then)
        for task in late.difference(tx.session.memo.values(), tx.session.helo_memo.values()):
            task.cancel()


def _hand_over(record: Record, then: Callable[[Record], None]) -> None:
    """The record has all that is known by now."""
    for task, fill in record.pending.items():
        if task.done() and not task.cancelled():
            fill(task.result())
    then(record)
