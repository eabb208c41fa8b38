"""One name server: how it is asked, whether it answers, and how fast."""

from collections.abc import Callable
from typing import Any

from smtpgate.dns.latency import Latency
from smtpgate.dns.udp import UdpPool
from smtpgate.values import Endpoint

_ASIDE = 30.0  # seconds until a server that did not answer is tried again
# So many answers in a row that change our question's case, or refuse EDNS: it is the server's way, no accident and no
# forgery, each of which would have to guess port and identifier.
_CONVINCED = 3


class NameServer:
    """A name server, as far as one process knows it.

    aside: it did not answer, and is asked after the others; changed: called when that changes.
    mixes_case: it repeats a question as it was written, which makes forging harder (draft-vixie-dnsext-dns0x20).
    edns: it knows EDNS (RFC 6891).
    """

    def __init__(self, endpoint: Endpoint, changed: Callable[[], None]) -> None:
        self.host = endpoint.host
        self.endpoint = endpoint
        self.pool = UdpPool(endpoint)
        self.aside = False
        self.mixes_case = True
        self.edns = True
        self.asked = self.answered = self.late = self.repeated = self.over_tcp = self.errors = 0
        self.latency = Latency()
        self._changed = changed
        self._heard = float("-inf")
        self._tried = 0.0
        self._changed_case = 0
        self._refused_edns = 0

    def heard(self, sent: float, now: float, mixed: bool, edns: bool) -> None:
        """It answered, whatever it said.

        sent, now: when it was asked, and when it answered. mixed, edns: how it was asked, and repeated the question.
        """
        self.answered += 1
        self.latency.add(now - sent)
        self._heard = now
        if mixed:
            self._changed_case = 0
        if edns:
            self._refused_edns = 0
        if self.aside:
            self.aside = False
            self._changed()

    def was_late(self, since: float, now: float) -> None:
        """What it was asked then has no answer yet.

        A question that takes long, while others are answered, is not the server's fault: a stranger chose the name.
        """
        self.late += 1
        if self._heard <= since:
            self.put_aside(now)

    def put_aside(self, now: float) -> None:
        """It does not answer, or cannot be reached."""
        self._tried = now
        if not self.aside:
            self.aside = True
            self._changed()

    def is_due(self, now: float) -> bool:
        """Whether a server that is aside should be tried again; then it counts as tried."""
        if now - self._tried < _ASIDE:
            return False
        self._tried = now
        return True

    def changed_case(self) -> None:
        """It repeated a question in another case than it was written in."""
        self._changed_case += 1
        self.mixes_case = self._changed_case < _CONVINCED

    def refused_edns(self) -> None:
        """It did not understand a question with EDNS."""
        self._refused_edns += 1
        self.edns = self._refused_edns < _CONVINCED

    def facts(self) -> dict[str, Any]:
        """Numbers for `smtpgate status`. Times in seconds; latencies: see smtpgate/dns/latency.py."""
        return {
            "name": str(self.endpoint),
            "aside": self.aside,
            "mixed_case": self.mixes_case,
            "asked": self.asked,
            "answered": self.answered,
            "timeouts": self.late,
            "repeated": self.repeated,
            "tcp": self.over_tcp,
            "errors": self.errors,
            "useless": self.pool.useless,
            "seconds": round(self.latency.seconds, 6),
            "latencies": self.latency.counts,
        }
