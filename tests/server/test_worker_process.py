"""A worker as its supervisor sees it: ready, stuck, ended. The children are real, what they do is not."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from smtpgate.config.settings import Settings
from smtpgate.server.generation import Generation
from smtpgate.server.status import STUCK_AFTER, is_stuck
from smtpgate.server.supervisor import KILL_AFTER, Supervisor
from smtpgate.server.worker_process import WorkerProcess, fork_worker


class Played(WorkerProcess):
    """A worker that is no process. told: what it was told to do."""

    def __init__(self, slot: int) -> None:
        super().__init__(0, slot, socket.socket(), None)
        self.reports.close()
        self.told: list[str] = []

    def kill(self) -> None:
        self.told.append("kill")

    def drain(self) -> None:
        self.draining = True
        self.told.append("drain")

    def stop(self) -> None:
        self.draining = True
        self.told.append("stop")


Started = Callable[[Callable[[socket.socket], None]], WorkerProcess]


@pytest.fixture
def started() -> Iterator[Started]:
    """Start a worker that does what the test says; whatever becomes of it, it is gone afterwards."""
    workers: list[WorkerProcess] = []

    def start(work: Callable[[socket.socket], None]) -> WorkerProcess:
        workers.append(fork_worker(0, None, work))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        try:
            os.waitpid(worker.pid, 0)
        except ChildProcessError:
            pass  # the test has seen its end
        worker.reports.close()


def hear(worker: WorkerProcess) -> bool:
    """Wait for something from it; whether more may come."""
    with selectors.PollSelector() as selector:
        selector.register(worker.reports, selectors.EVENT_READ)
        assert selector.select(10)
    return worker.read()


def wait_for(worker: WorkerProcess) -> int:
    """Its exit status."""
    while hear(worker):
        pass
    while (status := worker.ended()) is None:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    return status


def test_its_reports(started: Started) -> None:
    def work(reports: socket.socket) -> None:
        reports.sendall(b'{"sess')
        reports.recv(1)
        reports.sendall(b'ions": 1, "leaving": false}\n')
        reports.recv(1)
        reports.sendall(b'{"sessions": 2, "leaving": false}\n{"sessions": 3, "leaving": true}\n')

    worker = started(work)
    hear(worker)
    assert not worker.is_ready
    worker.reports.send(b".")
    hear(worker)
    assert worker.is_ready
    assert worker.takes_sessions
    worker.reports.send(b".")
    assert wait_for(worker) == 0
    assert worker.report == {"sessions": 3, "leaving": True}
    assert not worker.takes_sessions


def test_its_last_words_are_heard_when_it_is_gone(started: Started) -> None:
    worker = started(lambda reports: reports.sendall(b'{"sessions": 0}\n'))
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert worker.ended() == 0
    worker.read_rest()
    assert worker.report == {"sessions": 0}


def test_one_that_fails(started: Started) -> None:
    def work(reports: socket.socket) -> None:
        raise RuntimeError("a bug")

    assert wait_for(started(work)) == 1


def test_one_that_is_killed(started: Started) -> None:
    worker = started(lambda reports: signal.pause())
    worker.kill()
    assert wait_for(worker) == -signal.SIGKILL
    worker.drain()  # too late, and no harm done


def test_one_that_says_nothing_is_stuck(started: Started) -> None:
    worker = started(lambda reports: signal.pause())
    assert not is_stuck(worker, worker.heard + STUCK_AFTER)
    assert is_stuck(worker, worker.heard + STUCK_AFTER + 0.1)


def test_one_that_says_nothing_for_longer_is_killed(started: Started, caplog: pytest.LogCaptureFixture) -> None:
    silent, talking = started(lambda reports: signal.pause()), started(lambda reports: signal.pause())
    now = time.monotonic() + KILL_AFTER + 1
    talking.heard = now - 1
    supervisor = Supervisor.__new__(Supervisor)  # nothing but what it looks at here
    supervisor._workers = [silent, talking]
    supervisor._kill_at = None
    supervisor._looked = now - 1
    supervisor._kill_silent(now)
    assert wait_for(silent) == -signal.SIGKILL
    assert talking.ended() is None
    assert caplog.messages == [f"worker {silent.pid} is killed: it said nothing for 61 s"]


def test_who_was_stopped_together_with_the_supervisor_is_not_killed_for_it() -> None:
    supervisor = Supervisor.__new__(Supervisor)
    now = time.monotonic()
    worker = Played(0)
    worker.heard = now - 1
    supervisor._workers = [worker]
    supervisor._kill_at = None
    supervisor._looked = now
    supervisor._kill_silent(now + 3600)
    assert worker.told == []
    assert not is_stuck(worker, now + 3600)
    supervisor._kill_silent(now + 3601)
    for seconds in range(int(KILL_AFTER) + 1):  # but for saying nothing afterwards
        supervisor._kill_silent(now + 3602 + seconds)
    assert "kill" in worker.told


def test_many_reloads_in_a_row_leave_no_crowd_of_old_workers() -> None:
    supervisor = Supervisor.__new__(Supervisor)
    supervisor._workers = []
    for _ in range(6):
        generation = Generation(cast(Settings, None), 2, lambda generation, slot: Played(slot))
        generation.start_missing(time.monotonic())
        supervisor._workers += generation.workers
        supervisor._send_away(generation)
    told = [worker.told for worker in supervisor._workers]
    assert told == [["drain", "stop", "stop"]] * 2 + [["drain", "stop"]] * 2 + [["drain"]] * 8


@pytest.mark.parametrize(
    ("status", "served", "level"),
    [(0, True, "INFO"), (-signal.SIGTERM, False, "INFO"), (-signal.SIGTERM, True, "ERROR"), (1, False, "ERROR")],
)
def test_who_was_sent_away_and_how_it_went(
    status: int, served: bool, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    worker = Played(0)
    worker.drain()
    worker.report = {"leaving": True} if served else None
    Supervisor.__new__(Supervisor)._ended(worker, status, time.monotonic())
    assert [record.levelname for record in caplog.records] == [level]
