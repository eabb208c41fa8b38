"""What becomes of the DNS lists, in the log: a line for each change, not one from each worker."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from smtpgate.server.lists import STATES

log = logging.getLogger(__name__)

_TOLD = {
    "suspended": "%s (%s) is suspended: %s; until a self-test is good, it lists nobody",
    "failing": "%s (%s) does not answer and is not asked for now: %s",
    "good": "%s (%s) is good again, and asked",
}


class ListNews:
    """Tells the administrator when a list is not believed, or not asked, any more, and when it is again."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def hear(self, reports: Iterable[Iterable[Mapping[str, Any]]]) -> None:
        """How the lists are doing, as each worker sees it (ListHealth.report()); the worst counts."""
        worst: dict[tuple[str, str], Mapping[str, Any]] = {}
        for report in reports:
            for health in report:
                key = health["list"], health["kind"]
                if key not in worst or STATES.index(health["state"]) < STATES.index(worst[key]["state"]):
                    worst[key] = health
        for key, health in worst.items():
            state = health["state"]
            # New workers have not tested it yet: that is no news.
            if state != "untested" and state != self._told.get(key, "good"):
                self._told[key] = state
                log.warning(_TOLD[state], *key, *([health["reason"]] if state != "good" else []))
