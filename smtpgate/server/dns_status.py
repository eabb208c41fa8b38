"""What `smtpgate status` tells of the DNS: the workers' numbers together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from smtpgate.dns.latency import added, percentile

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
    latencies = added(part["latencies"] for part in parts)
    answers, slowest = sum(latencies), percentile(latencies, 0.95)
    return {
        "name": name,
        "workers": len(parts),
        "aside": sum(part["aside"] for part in parts),
        "mixed_case": all(part["mixed_case"] for part in parts),
        **{key: sum(part[key] for part in parts) for key in _SUMS},
        "mean_ms": round(sum(part["seconds"] for part in parts) / answers * 1000, 3) if answers else None,
        "p95_ms": None if slowest is None else round(slowest * 1000, 3),
    }
