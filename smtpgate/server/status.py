"""What `smtpgate status` prints, as plain data."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import smtpgate
from smtpgate.server.dns_status import dns
from smtpgate.server.expiry import certificate_status
from smtpgate.server.generation import Generation
from smtpgate.server.lists import merged
from smtpgate.server.worker_process import WorkerProcess

# A worker reports once a second. After so many seconds of silence it hangs, or its machine does.
STUCK_AFTER = 10.0


def status(
    generation: Generation, workers: Sequence[WorkerProcess], past: Counter[str], crashes: int, started: float
) -> dict[str, Any]:
    """The server's state. generation: serves now. workers: all that run. Times in seconds, memory in bytes.

    past: outcomes in workers that have ended. crashes: workers that ended unasked. started: monotonic.
    """
    now = time.monotonic()
    reports = [worker.report for worker in workers if worker.report is not None]
    totals = sum((Counter(report["outcomes"]) for report in reports), past)
    return {
        "version": smtpgate.__version__,
        "pid": os.getpid(),
        "uptime": round(now - started, 1),
        "configuration_age": round(now - generation.began, 1),
        "certificate": certificate_status(generation.settings),
        "listeners": [str(listener.address) for listener in generation.settings.listeners],
        "crashes": crashes,
        "workers": [_worker(worker, now) for worker in workers],
        "totals": dict(sorted(totals.items())),
        "messages_per_second": round(sum(report["messages_per_second"] for report in reports), 3),
        "records": {
            "waiting": sum(report["records_waiting"] for report in reports),
            "dropped": sum(report["records_dropped"] for report in reports),
        },
        "dns": dns(report["dns"] for report in reports),
        "downstream": downstream(report["downstream"] for report in reports),
        "lists": merged(report["lists"] for report in reports),
        "troubles": troubles(report["troubles"] for report in reports),
    }


def downstream(reports: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """How each server behind us is doing, by what the workers say of it (ServerHealth).

    state: how many workers are in which. seconds, last_error: of the worker that has known of the present trouble, or
    of the last one, for the shortest time.
    """
    servers: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for health in report:
            servers.setdefault(health["name"], []).append(health)
    return [_server(name, healths) for name, healths in servers.items()]


def _server(name: str, healths: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # What is wrong for one worker is what the administrator wants to know.
    latest = min(healths, key=lambda health: (health["state"] == "up", health["last_error"] is None, health["seconds"]))
    sums = {key: sum(health[key] for health in healths) for key in ("idle", "busy", "delivered", "failures")}
    return {
        "name": name,
        "state": dict(sorted(Counter(health["state"] for health in healths).items())),
        "seconds": round(latest["seconds"], 1),
        "last_error": latest["last_error"],
        **sums,
    }


def troubles(reports: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What fails on this machine (Failing); of several workers that say so, as the last one saw it."""
    told = sorted((failing for report in reports for failing in report), key=lambda failing: -failing["seconds"])
    latest = {failing["what"]: failing for failing in told}
    return [{**failing, "seconds": round(failing["seconds"], 1)} for failing in latest.values()]


def is_stuck(worker: WorkerProcess, now: float) -> bool:
    """Whether it should have reported long ago."""
    return now - worker.heard > STUCK_AFTER


def _worker(worker: WorkerProcess, now: float) -> dict[str, Any]:
    report = worker.report or {}
    return {
        "pid": worker.pid,
        "state": _state(worker, now),
        "age": round(now - worker.started, 1),
        "sessions": report.get("sessions", 0),
        "transactions": report.get("transactions", 0),
        "messages_per_second": report.get("messages_per_second", 0.0),
        "memory": _memory(worker.pid),
    }


def _state(worker: WorkerProcess, now: float) -> str:
    if is_stuck(worker, now):
        return "stuck"
    if not worker.is_ready:
        return "starting"
    if worker.draining:
        return "draining"
    assert worker.report is not None
    if worker.report["files_short"]:
        return "no files"
    return "stressed" if worker.report["stress"] else "serving"


def _memory(pid: int) -> int | None:
    """Resident memory, what is shared with the others included; None where there is no /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
