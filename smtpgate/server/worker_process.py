"""A worker as its supervisor sees it: a child process, and the reports that it sends once a second."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

log = logging.getLogger(__name__)

# The supervisor's signals: what it is told by others, and word that a child has ended.
SUPERVISED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# A worker that says more than this without a line end says nothing that is meant for us.
_LONGEST_REPORT = 2**20


class WorkerProcess:
    """A child process.

    slot: its number among those that run with one configuration, from 0. started: monotonic time in seconds, as are
    all others. reports: ends when the child does. report: its last one; None before it is ready. column: of the table
    in which the workers count clients; None if that had none left.
    """

    def __init__(self, pid: int, slot: int, reports: socket.socket, column: int | None) -> None:
        self.pid = pid
        self.slot = slot
        self.reports = reports
        self.column = column
        self.started = self.heard = time.monotonic()
        self.report: dict[str, Any] | None = None
        self.draining = False
        self._input = b""

    @property
    def is_ready(self) -> bool:
        """Whether it serves."""
        return self.report is not None

    @property
    def takes_sessions(self) -> bool:
        """Whether new sessions may come to it, as far as is known."""
        return self.report is not None and not self.report["leaving"]

    def read(self) -> bool:
        """Take in what it reported; False if there will be no more."""
        try:
            data = self.reports.recv(2**16)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        *lines, self._input = (self._input + data).split(b"\n")
        if lines:
            self.report = json.loads(lines[-1])
            self.heard = time.monotonic()
        return bool(data) and len(self._input) < _LONGEST_REPORT

    def read_rest(self) -> None:
        """It has ended: take in its last words."""
        while self.read():
            pass
        self.reports.close()

    def drain(self) -> None:
        """Tell it to take no new sessions and to end with the last one."""
        self.draining = True
        self._signal(signal.SIGHUP)

    def stop(self) -> None:
        """Tell it to end soon."""
        self.draining = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def ended(self) -> int | None:
        """Its exit status if it has ended, negative for a signal; otherwise None."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it is waited for next


def fork_worker(slot: int, column: int | None, work: Callable[[socket.socket], None]) -> WorkerProcess:
    """Fork. In the child: do the work, which gets the socket for its reports, and exit."""
    ours, theirs = socket.socketpair()
    # A signal that came between fork() and the end of our handlers would be lost in the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISED)
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(work, ours, theirs)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISED)
        theirs.close()
    ours.setblocking(False)
    return WorkerProcess(pid, slot, ours, column)


def _become_worker(work: Callable[[socket.socket], None], ours: socket.socket, theirs: socket.socket) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SUPERVISED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISED)
        ours.close()
        work(theirs)
        status = 0
    except BaseException:
        log.exception("worker %d ends", os.getpid())
    finally:
        # Nothing of the supervisor's may run in here: no caller's finally, no atexit.
        os._exit(status)
