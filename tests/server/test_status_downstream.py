"""What `smtpgate status` tells of the servers behind us."""

from typing import Any

import pytest

from smtpgate.cli.status import _downstream
from smtpgate.server.status import downstream


def health(name: str = "smtp://a:25", **differs: Any) -> dict[str, Any]:
    usual = {"state": "up", "seconds": 100.0, "last_error": None, "idle": 1, "busy": 2, "delivered": 3, "failures": 0}
    return {"name": name, **usual, **differs}


def test_the_workers_are_added_up() -> None:
    first, second = downstream([[health(), health("smtp://b:25")], [health(), health("smtp://b:25", delivered=0)]])
    assert first == {
        "name": "smtp://a:25",
        "state": {"up": 2},
        "seconds": 100.0,
        "last_error": None,
        "idle": 2,
        "busy": 4,
        "delivered": 6,
        "failures": 0,
    }
    assert (second["name"], second["delivered"]) == ("smtp://b:25", 3)


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ([health()], "up, 3 messages taken, 2 connections busy, 1 idle"),
        ([health(last_error="refused", failures=1)], "up, 3 messages taken, 2 connections busy, 1 idle"),
        (
            [health(state="aside", seconds=70.0, last_error="refused", busy=0, idle=0)],
            "put aside for 1m 10s: refused; 3 messages taken, 0 connections busy, 0 idle",
        ),
        (
            [health(), health(state="probing", seconds=7.0, last_error="gone"), health(last_error="old", seconds=1.0)],
            "put aside in 1 of 3 workers for 7s: gone; 9 messages taken, 6 connections busy, 3 idle",
        ),
    ],
)
def test_what_is_printed(workers: list[dict[str, Any]], told: str) -> None:
    [server] = downstream([worker] for worker in workers)
    assert _downstream(server) == f"smtp://a:25: {told}"


def test_before_the_first_report() -> None:
    assert downstream([]) == []
