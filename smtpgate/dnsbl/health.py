"""The health of a list: whether it is asked and believed, and since when and why not."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from smtpgate.dns.latency import Latency
from smtpgate.dnsbl.self_test import Finding, Kind
from smtpgate.dnsbl.share import ListedShare
from smtpgate.values import IPAddress

# Times in seconds, each doubled up to the second number while things stay as they are.
_TEST_EVERY = 30 * 60.0
_TEST_SUSPENDED = 5 * 60.0, 30 * 60.0
# A suspicion is no proof: whoever has a hundred networks full of listed clients could have them let in meanwhile.
_TEST_SUSPECTED = 15.0, 30 * 60.0
_TEST_SILENT = 15.0, 5 * 60.0
# So many questions in a row without an answer, and no mail waits for the list any more.
_SILENT_AFTER = 5


class State(Enum):
    """Whether a list is asked: the first two are. A failing one would only cost time, a suspended one is wrong."""

    UNTESTED = "untested"
    GOOD = "good"
    FAILING = "failing"
    SUSPENDED = "suspended"


class ListHealth:
    """What is known of a list, as far as one kind of question goes.

    name: may be shown. clock: wall time in seconds since 1970, as all times here. since, reason: of the present
    state. is_asked: whether it answers questions about clients. is_suspended: whether it is not believed. changed: is
    set when the state changes. tested: is set by the first test, before which no answer counts.
    """

    def __init__(self, name: str, kind: Kind, clock: Callable[[], float]) -> None:
        self.name = name
        self.kind = kind
        self._clock = clock
        self.state = State.UNTESTED
        self.is_asked = True
        self.is_suspended = False
        self.since = clock()
        self.reason: str | None = None
        self.changed = asyncio.Event()
        self.tested = asyncio.Event()
        self.share = ListedShare()
        self._asked = self._listed = self._failed = self._not_asked = 0
        self._latency = Latency()
        self._last_test: float | None = None
        self._result = Finding(unknown="not tested yet")
        self._silence = 0  # questions in a row without an answer
        self._doublings = 0  # of the pause between tests
        self._is_suspected = False  # and nothing is proved

    def took(self, seconds: float) -> None:
        """It answered within so many seconds."""
        self._asked += 1
        self._silence = 0
        self._latency.add(seconds)

    def answered(self, client: IPAddress | None, listed: bool, refusal: str | None) -> None:
        """What it answered. client: whom to count, None for nobody. refusal: why it answers nobody as it should."""
        self._listed += listed
        if refusal:
            self._is_suspected = False
            self._suspend(refusal)
        elif client is not None and self.is_asked:
            self.share.note(client, listed)
            if listed and self.share.is_suspicious():
                self._is_suspected = True
                self._suspend(
                    f"it lists {self.share.listed} of the last {self.share.networks} client networks,"
                    f" usually {self.share.usual:.0%} of them"
                )

    def was_silent(self, detail: str) -> None:
        """It was asked, and nobody knows what it says."""
        self._asked += 1
        self._failed += 1
        self._hear_nothing(detail)

    def spared(self) -> None:
        """It was not asked."""
        self._not_asked += 1

    def standing(self) -> dict[str, Any]:
        """Why it is not asked or not believed, for a record."""
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return {"list": self.name, self.state.value: self.reason, "since": since}

    def note_test(self, result: Finding) -> None:
        """A self-test has ended."""
        before = self.state
        self._last_test, self._result = self._clock(), result
        if result.wrong:
            self._is_suspected = False
            self._suspend(result.wrong)
        elif result.unknown:
            self._hear_nothing(result.unknown)
        else:
            self._silence = 0
            self._turn(State.GOOD, None)
        if self.state is State.GOOD and before is not State.SUSPENDED and not result.unknown:
            self._doublings = 0
        elif before in (self.state, State.SUSPENDED):  # a list that is suspended again and again is so for longer
            self._doublings += 1
        self.tested.set()

    def pause(self) -> float:
        """In how many seconds it should be tested again."""
        if self.state is State.GOOD and not self._result.unknown:
            return _TEST_EVERY
        first, longest = _TEST_SILENT
        if self.state is State.SUSPENDED:
            first, longest = _TEST_SUSPECTED if self._is_suspected else _TEST_SUSPENDED
        return min(longest, math.ldexp(first, min(self._doublings, 10)))

    def report(self) -> dict[str, Any]:
        """All of it as plain data, which merged() makes one of for all workers."""
        return {
            "list": self.name,
            "kind": self.kind.value,
            "state": self.state.value,
            "since": self.since,
            "reason": self.reason,
            "asked": self._asked,
            "listed": self._listed,
            "failed": self._failed,
            "not_asked": self._not_asked,
            "latency": self._latency.counts,
            "latency_total": round(self._latency.seconds, 6),
            "tested": self._last_test,
            "test": self._result.wrong or self._result.unknown or self._result.note or "good",
        }

    def _suspend(self, reason: str) -> None:
        if self.state is State.SUSPENDED:
            self.reason = reason
            return
        self.share.forget_recent()
        self._turn(State.SUSPENDED, reason)

    def _hear_nothing(self, detail: str) -> None:
        self._silence += 1
        if self._silence >= _SILENT_AFTER and self.is_asked:
            self._doublings = 0
            self._turn(State.FAILING, detail)

    def _turn(self, state: State, reason: str | None) -> None:
        if state is self.state:
            return
        self.state, self.reason, self.since = state, reason, self._clock()
        self.is_asked = state in (State.UNTESTED, State.GOOD)
        self.is_suspended = state is State.SUSPENDED
        self.changed.set()
