"""What becomes of the name servers, in the log: a line when one answers nothing any more, and one when it is back."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

log = logging.getLogger(__name__)

# Times in seconds. From the first question without an answer to another one, with no answer in between: a stranger's
# domain whose own servers are slow is no news.
SILENT_FOR = 10.0
# On a server with little to do a stranger's domains may be all that is asked for: they must not fill the log.
NOT_AGAIN_WITHIN = 600.0


class NameServerNews:
    """Tells the administrator, once for all workers. clock: monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._servers: dict[str, _Watched] = {}

    def hear(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """What each worker's resolver has done (StubResolver.facts())."""
        answered: Counter[str] = Counter()
        troubles: Counter[str] = Counter()
        for report in reports:
            for server in report["servers"]:
                answered[server["name"]] += server["answered"]
                troubles[server["name"]] += server["timeouts"] + server["errors"]
        now = self._clock()
        for name in answered:
            self._servers.setdefault(name, _Watched(name)).hear(answered[name], troubles[name], now)


class _Watched:
    """One name server. Its numbers are lower than before when workers have gone: that is no news."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._answered = self._troubles = 0
        self._silent_since: float | None = None
        self._told = False
        self._not_before = float("-inf")

    def hear(self, answered: int, troubles: int, now: float) -> None:
        if answered > self._answered:
            self._silent_since = None
            if self._told:
                self._told = False
                log.warning("name server %s answers again", self._name)
        elif troubles > self._troubles:
            if self._silent_since is None:
                self._silent_since = now
            silent = now - self._silent_since
            if silent >= SILENT_FOR and now >= self._not_before and not self._told:
                self._told = True
                self._not_before = now + NOT_AGAIN_WITHIN
                log.warning("name server %s does not answer: it was asked for %.0f s in vain", self._name, silent)
        self._answered, self._troubles = answered, troubles
