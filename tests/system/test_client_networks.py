"""Limits of a client network hold over all workers, and for no longer than the worker that counted lives."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.gate import _CONFIG, Gate, Talk

CONFIG = _CONFIG.replace("[store]", "[limits]\nclient_connections = 3\n[store]")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path, "maildir:var/mail", workers=2, config=CONFIG).start()
    yield gate
    gate.close()


def workers(gate: Gate) -> list[int]:
    status = json.loads(gate.command("status", "--json").stdout)
    return [worker["pid"] for worker in status["workers"] if worker["state"] == "serving"]


def greeted(gate: Gate) -> Talk | None:
    """A client that was let in."""
    talk = gate.talk()
    return talk if talk.reply().startswith("220 ") else None


def test_two_workers_count_together(gate: Gate) -> None:
    talks = [greeted(gate) for _ in range(3)]
    assert all(talks)
    for _ in range(12):  # whichever worker they come to
        refused = gate.talk()
        assert refused.reply().startswith("421 4.7.0 Too many connections from your network")
        assert refused.line() == ""


def test_what_a_killed_worker_counted_is_forgotten(gate: Gate) -> None:
    assert all(greeted(gate) for _ in range(3))
    killed = workers(gate)
    assert len(killed) == 2
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    gate.program.wait_for("another starts in", times=2)
    # A new worker's listen queue holds who comes before it is ready.
    assert all(greeted(gate) for _ in range(3))
    assert greeted(gate) is None
