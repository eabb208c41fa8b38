"""What a worker reports about itself: plain numbers, for `smtpgate status`."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from smtpgate.dnsbl.lists import DnsLists
from smtpgate.record import Record
from smtpgate.server.descriptors import is_short_of_files
from smtpgate.server.recorder import Recorder
from smtpgate.server.reports import EVERY
from smtpgate.smtp.services import Services
from smtpgate.trouble import Trouble

_RATE_OVER = 60  # seconds


class Tally:
    """Counts outcomes on their way to the recorder. record: takes what was counted."""

    def __init__(self, record: Callable[[Record], None]) -> None:
        self._record = record
        self.outcomes: Counter[str] = Counter()

    def put(self, record: Record) -> None:
        """Count it and pass it on. Never blocks."""
        self.outcomes[record.outcome] += 1
        self._record(record)


class Rate:
    """How often something happened, a second, over the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=int(_RATE_OVER / EVERY) + 1)

    def sample(self, now: float, count: int) -> float:
        """The rate up to now, in seconds; count: how often it has happened in all."""
        self._samples.append((now, count))
        since, before = self._samples[0]
        return (count - before) / (now - since) if now > since else 0.0


@dataclass(slots=True)
class Facts:
    """Called once a second, it tells what is going on in the worker's parts.

    sessions, transactions: open now. stress: sessions are running out. files_short: no file can be opened.
    messages_per_second: accepted, over the last minute. outcomes: of all transactions since the worker began.
    records_waiting, records_dropped: on their way to the store, and lost on it. dns: what the resolver has done
    (CachingResolver.facts, StubResolver.facts). downstream: how each of its servers is doing (ServerHealth). lists: how
    each DNS list is doing (ListHealth.report()).
    troubles: what fails on this machine (Failing).
    """

    services: Services
    tally: Tally
    recorder: Recorder
    dns: Callable[[], dict[str, Any]]
    lists: DnsLists
    _rate: Rate = field(default_factory=Rate)

    def __call__(self) -> dict[str, Any]:
        """The numbers now."""
        connections = self.services.connections
        outcomes = self.tally.outcomes
        return {
            "sessions": len(connections),
            "stress": self.services.room.stress,
            "files_short": is_short_of_files(),
            "transactions": sum(connection.reception.tx is not None for connection in connections),
            "messages_per_second": round(self._rate.sample(time.monotonic(), outcomes["accepted"]), 3),
            "outcomes": dict(outcomes),
            "records_waiting": self.recorder.waiting,
            "records_dropped": self.recorder.dropped,
            "dns": self.dns(),
            "downstream": [asdict(health) for health in self.services.downstream.health()],
            "lists": self.lists.report(),
            "troubles": [asdict(failing) for trouble in self._troubles() if (failing := trouble.failing())],
        }

    def _troubles(self) -> tuple[Trouble, ...]:
        return self.services.spool.trouble, self.services.quarantine.trouble, *self.recorder.troubles
