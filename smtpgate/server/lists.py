"""The DNS block and allow lists of a configuration, and how they are doing in all workers together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.config.settings import Settings
from smtpgate.dns.latency import Latency
from smtpgate.dnsbl.listing import DnsList, lists_in
from smtpgate.phases.named_rules import named_by_tables
from smtpgate.phases.rule import Rule

# The worst is what the administrator wants to know of.
STATES = ("suspended", "failing", "untested", "good")


@dataclass(frozen=True, slots=True)
class ConfiguredList:
    """A list that a rule asks. allows: to be on it is good."""

    rule: Rule
    listing: DnsList
    allows: bool


def configured_lists(settings: Settings) -> Iterator[ConfiguredList]:
    """Every list that a rule's options name; those of rules that only results of tables name, too."""
    for rule in (*settings.rules, *named_by_tables(settings.rules)):
        allows = rule.spec.name.startswith("permit_")
        for listing, weight in lists_in(rule.options):
            yield ConfiguredList(rule, listing, allows or weight < 0)


def merged(reports: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One report for each list and kind of question, by what the workers say of it (ListHealth.report()).

    states: how many workers have it in which. state, since, reason, test: of the worker to which it looks worst, for
    the longest time. tested: when any worker did it last. Times of day in seconds since 1970; mean, p95 in seconds.
    """
    by_list: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for report in reports:
        for health in report:
            by_list.setdefault((health["list"], health["kind"]), []).append(health)
    return [_merged(healths) for healths in by_list.values()]


def _merged(healths: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    worst = min(healths, key=lambda health: (STATES.index(health["state"]), health["since"]))
    latency = Latency.sum([Latency(health["latency"], health["latency_total"]) for health in healths])
    return {
        **{key: worst[key] for key in ("list", "kind", "state", "since", "reason", "test")},
        "states": dict(sorted(Counter(health["state"] for health in healths).items())),
        **{key: sum(health[key] for health in healths) for key in ("asked", "listed", "failed", "not_asked")},
        "mean": latency.mean,
        "p95": latency.quantile(0.95),
        "tested": max((health["tested"] for health in healths if health["tested"] is not None), default=None),
    }
