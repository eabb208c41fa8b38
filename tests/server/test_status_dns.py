"""What `smtpgate status` tells of the DNS."""

from typing import Any

from smtpgate.cli.status import _dns
from smtpgate.dns.latency import Latency
from smtpgate.server.dns_status import dns


def server(name: str = "192.0.2.53:53", took: tuple[float, ...] = (), **differs: Any) -> dict[str, Any]:
    latency = Latency()
    for seconds in took:
        latency.add(seconds)
    counts = dict.fromkeys(("asked", "answered", "timeouts", "repeated", "tcp", "errors", "useless"), 0)
    usual = {"aside": False, "mixed_case": True, "seconds": latency.seconds, "latencies": latency.counts}
    return {"name": name, **counts, **usual, "answered": len(took), **differs}


def worker(*servers: dict[str, Any], **differs: Any) -> dict[str, Any]:
    usual = {"kept": 5, "from_memory": 10, "shared": 2, "asked": 8, "in_flight": 1, "outcomes": {"answer": 7}}
    return {**usual, "servers": list(servers), **differs}


def test_the_workers_are_added_up() -> None:
    first = worker(server(took=(0.001,) * 95, timeouts=2))
    second = worker(server(took=(0.1,) * 5, aside=True, tcp=1), outcomes={"no such name": 1, "answer": 1})
    told = dns([first, second])
    [one] = told.pop("servers")
    assert told == {
        "kept": 10, "from_memory": 20, "shared": 4, "asked": 16, "in_flight": 2,
        "outcomes": {"answer": 8, "no such name": 1},
    }  # fmt: skip
    assert (one["answered"], one["timeouts"], one["tcp"], one["aside"], one["workers"]) == (100, 2, 1, 1, 2)
    assert one["mean_ms"] == 5.95
    assert one["p95_ms"] == 1.0


def test_what_is_printed() -> None:
    parts = [worker(server(took=(0.001,) * 3, timeouts=2), server("[2001:db8::53]:53", aside=True)), worker(server())]
    assert [" ".join(line) for line in _dns(dns(parts))] == [
        "DNS 40 questions, 20 answered from memory, which holds 10 answers",
        " 14 answer",
        "name server 192.0.2.53:53: 3 answers, 1.0 ms on average, 95 % within 1.0 ms, 2 time-outs",
        "name server [2001:db8::53]:53: does not answer in 1 of 1 workers; 0 answers",
    ]


def test_before_the_first_report() -> None:
    assert [" ".join(line) for line in _dns(dns([]))] == [
        "DNS 0 questions, 0 answered from memory, which holds 0 answers"
    ]
