"""What `smtpgate status` tells of the DNS: the workers' numbers together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from smtpgate.dns.latency import Latency

_SUMS = ("asked", "answered", "timeouts", "repeated", "tcp", "errors", "useless")


def dns(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The resolvers of all workers (CachingResolver.facts, StubResolver.facts) as one."""
    reports = list(reports)
    outcomes: Counter[str] = sum((Counter(report["outcomes"]) for report in reports), Counter())
    servers: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for server in report["servers"]:
            servers.setdefault(server["name"], []).append(server)
    return {
        **{
            key: sum(report[key] for report in reports)
            for key in ("kept", "from_memory", "shared", "asked", "in_flight")
        },
        "outcomes": dict(sorted(outcomes.items())),
        "servers": [_server(name, parts) for name, parts in servers.items()],
    }


def _server(name: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One name server. aside: in how many of the workers that know it it does not answer."""
    latency = Latency.sum([Latency(part["latencies"], part["seconds"]) for part in parts])
    return {
        "name": name,
        "workers": len(parts),
        "aside": sum(part["aside"] for part in parts),
        "mixed_case": all(part["mixed_case"] for part in parts),
        **{key: sum(part[key] for part in parts) for key in _SUMS},
        "mean_ms": _ms(latency.mean),
        "p95_ms": _ms(latency.quantile(0.95)),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
