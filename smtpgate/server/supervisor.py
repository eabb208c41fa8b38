"""The supervisor: keeps the listening sockets open and the workers running, reloads, stops, and never ends by itself.

It has one thread, no event loop and no other work, so that it can fork at any time and has little to fail at.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvloop

from smtpgate.config.errors import ConfigErrors
from smtpgate.config.settings import Settings
from smtpgate.server.control import Answer, ControlError, ControlServer
from smtpgate.server.generation import Generation
from smtpgate.server.news import News
from smtpgate.server.reports import Reporter
from smtpgate.server.restart import RestartNeeded, check_reload
from smtpgate.server.sockets import ListenError, ListeningSockets
from smtpgate.server.status import STUCK_AFTER, is_stuck, status
from smtpgate.server.systemd import Notifier
from smtpgate.server.worker import STOP_WITHIN, Worker, freeze
from smtpgate.server.worker_process import SUPERVISED, WorkerProcess, fork_worker
from smtpgate.smtp.client_table import ClientTable
from smtpgate.trouble import Trouble

log = logging.getLogger(__name__)

# Times in seconds. A worker that is silent for so long is killed.
KILL_AFTER = 60.0
# New workers serve by then, or they are given up.
READY_WITHIN = 30.0
# Behind a worker's own limit: the downstream's last answers are waited for, records are written.
_KILL_AFTER_STOP = STOP_WITHIN + 30.0
_TICK = 1.0
_CONTROL_EVERY = 5.0
# Generations whose sessions may go on; those of older ones are told to end between two messages.
_MOST_LEAVING = 4
# Workers that count clients together: several generations of them on a large machine.
_COLUMNS = 64


class Supervisor:
    """Runs the workers.

    settings: what to begin with. load: reads the configuration again; raises ConfigErrors. sockets: are open.
    write_log: takes the workers' log lines. watchdog: how often systemd wants to hear of us, in seconds. on_ready:
    called when the first workers serve.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        sockets: ListeningSockets,
        write_log: Callable[[str], None],
        notifier: Notifier,
        watchdog: float | None,
        on_ready: Callable[[], None],
    ) -> None:
        self._load = load
        self._sockets = sockets
        self._write_log = write_log
        self._notifier = notifier
        self._watchdog = watchdog
        self._on_ready = on_ready
        self._started = self._looked = time.monotonic()
        self._selector = selectors.PollSelector()  # without a file descriptor that workers would share
        self._signals: list[int] = []
        self._wake, self._waker = socket.socketpair()
        self._control = ControlServer(settings.server.control, self._selector, self._requested)
        self._clients = ClientTable(_COLUMNS)
        self._news = News()
        self._current: Generation | None = None
        self._coming: Generation | None = self._generation(settings)
        self._reload_next: list[Answer] = []  # who asked for a reload that has not begun
        self._reloading: list[Answer] = []  # and for the one under way
        self._old_leave_by = 0.0
        self._workers: list[WorkerProcess] = []  # of both, and those that drain
        self._past: Counter[str] = Counter()
        self._crashes = 0
        self._next_sign_of_life = 0.0
        self._next_control = 0.0
        self._no_control = Trouble("`smtpgate status` and `smtpgate reload` find no server")
        self._kill_at: float | None = None  # the time is set when the server stops
        self._exit_status = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        self._listen_to_signals()
        while self._kill_at is None or self._workers:
            try:
                self._turn()
            except Exception:
                log.exception("the supervisor goes on")
                time.sleep(_TICK)  # not again and again at full speed
        self._control.close()
        return self._exit_status

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._pause()):
            key.data()
        while self._signals:
            self._on_signal(self._signals.pop(0))
        now = time.monotonic()
        self._reap(now)
        self._kill_silent(now)
        if self._kill_at is None:
            self._start_missing(now)
            self._go_on_with_reload(now)
            self._give_sign_of_life(now)
            self._open_control(now)

    def _pause(self) -> float:
        """How long nothing is to be done, unless somebody calls."""
        generations = [generation for generation in (self._current, self._coming) if generation is not None]
        times = [generation.next_start for generation in generations]
        if self._watchdog is not None:
            times.append(self._next_sign_of_life)
        now = time.monotonic()
        return max(0.0, min([_TICK, *(when - now for when in times if when is not None)]))

    def _open_control(self, now: float) -> None:
        """Who cannot ask for the status shall have his mail all the same, and what is in the way may pass."""
        if self._control.is_open or now < self._next_control:
            return
        self._next_control = now + _CONTROL_EVERY
        try:
            self._control.open()
        except ControlError as error:
            self._no_control.happened(error)
        else:
            self._no_control.passed()

    # --- signals and requests

    def _listen_to_signals(self) -> None:
        for end in (self._wake, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda: self._wake.recv(4096))
        for number in SUPERVISED:
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload_next.append(lambda answer: None)
        elif number == signal.SIGINT and self._kill_at is not None:
            self._exit_status = 128 + signal.SIGINT
            for worker in self._workers:
                worker.kill()
        elif number in (signal.SIGTERM, signal.SIGINT) and self._kill_at is None:
            self._stop()

    def _requested(self, command: str, answer: Answer) -> None:
        if command == "status":
            generation = self._current or self._coming
            assert generation is not None
            answer(status(generation, self._workers, self._past, self._crashes, self._started))
        elif command == "reload":
            self._reload_next.append(answer)
        else:
            answer({"error": f"unknown command {command!r}"})

    # --- workers

    def _generation(self, settings: Settings) -> Generation:
        freeze()  # here, so that the workers share what they do not look at
        count = settings.server.workers or len(os.sched_getaffinity(0))
        return Generation(settings, count, self._fork)

    def _fork(self, generation: Generation, slot: int) -> WorkerProcess:
        column = self._clients.take()
        try:
            worker = fork_worker(slot, column, partial(self._work, generation.settings, slot, column))
        except OSError:
            self._give_back(column)
            raise
        # Before the next one is forked, which must not keep this one's socket open.
        self._workers.append(worker)
        self._selector.register(worker.reports, selectors.EVENT_READ, partial(self._read, worker))
        return worker

    def _give_back(self, column: int | None) -> None:
        if column is not None:
            self._clients.give_back(column)

    def _work(self, settings: Settings, slot: int, column: int | None, reports: socket.socket) -> None:
        """In the child: serve."""
        for end in (self._wake, self._waker, *(worker.reports for worker in self._workers)):
            end.close()
        self._control.close_inherited()
        sockets = self._sockets.inherit({listener.address for listener in settings.listeners})
        counts = None if column is None else self._clients.counts(column, time.monotonic)
        worker = Worker(settings, sockets, self._write_log, deletes=slot == 0, counts=counts)
        uvloop.run(_serve(worker, reports))

    def _start_missing(self, now: float) -> None:
        for generation in (self._current, self._coming):
            if generation is not None:
                generation.start_missing(now)

    def _read(self, worker: WorkerProcess) -> None:
        if not worker.read():
            self._selector.unregister(worker.reports)
        serving = self._current.workers if self._current is not None else []
        self._news.hear([one.report for one in serving if one.report is not None])

    def _reap(self, now: float) -> None:
        for worker in list(self._workers):
            ended = worker.ended()
            if ended is None:
                continue
            self._workers.remove(worker)
            self._give_back(worker.column)
            if worker.reports in self._selector.get_map():
                self._selector.unregister(worker.reports)
            worker.read_rest()
            if worker.report is not None:
                self._past.update(worker.report["outcomes"])
            self._ended(worker, ended, now)

    def _ended(self, worker: WorkerProcess, ended: int, now: float) -> None:
        how = f"by {signal.Signals(-ended).name}" if ended < 0 else f"with status {ended}"
        if worker.draining:
            # One that has only just begun has no handler for signals yet.
            well = ended == 0 or (ended == -signal.SIGTERM and not worker.is_ready)
            log.log(logging.INFO if well else logging.ERROR, "worker %d ended %s", worker.pid, how)
            return
        for generation in (self._current, self._coming):
            if generation is not None and worker in generation.workers:
                self._crashes += 1
                pause = generation.remove(worker, now)
                after = now - worker.started
                log.error("worker %d ended %s after %.0f s; another starts in %g s", worker.pid, how, after, pause)

    def _kill_silent(self, now: float) -> None:
        asleep = now - self._looked
        self._looked = now
        for worker in self._workers:
            if asleep > STUCK_AFTER:  # so was the whole machine, or all of the container: the workers are not to blame
                worker.heard += asleep
            if now - worker.heard > KILL_AFTER:
                log.error("worker %d is killed: it said nothing for %.0f s", worker.pid, now - worker.heard)
                worker.kill()
            elif self._kill_at is not None and now > self._kill_at:
                log.error("worker %d is killed: it did not end within %.0f s", worker.pid, _KILL_AFTER_STOP)
                worker.kill()

    def _give_sign_of_life(self, now: float) -> None:
        """One worker that answers is enough: systemd would end them all, and those that hang are killed anyway."""
        if self._watchdog is None or self._current is None or now < self._next_sign_of_life:
            return
        self._next_sign_of_life = now + self._watchdog
        if any(not is_stuck(worker, now) for worker in self._current.workers):
            self._notifier.tell("WATCHDOG=1")

    # --- reloading

    def _go_on_with_reload(self, now: float) -> None:
        """The next step, if it is time for it: begin, take over, be done."""
        if self._coming is not None:
            self._take_over(self._coming, now)
        elif self._reloading:
            # Done when no old worker takes new sessions any more; one that hangs is not waited for.
            leaving = [worker for worker in self._workers if worker.draining]
            if now > self._old_leave_by or not any(worker.takes_sessions for worker in leaving):
                self._end_reload(None)
        elif self._reload_next:
            self._begin_reload()

    def _begin_reload(self) -> None:
        assert self._current is not None
        self._reloading, self._reload_next = self._reload_next, []
        # sd_notify(3): by this time stamp, READY=1 of an earlier reload is told from that of this one.
        self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            settings = self._load()
            check_reload(self._current.settings, settings)
            self._sockets.open(listener.address for listener in settings.listeners)
        except (ConfigErrors, RestartNeeded, ListenError) as error:
            self._end_reload(str(error))
        else:
            self._coming = self._generation(settings)

    def _take_over(self, coming: Generation, now: float) -> None:
        """If the coming workers serve, send the old ones away; if they do not come, give them up."""
        if coming.is_ready:
            old, self._current, self._coming = self._current, coming, None
            self._close_removed(coming)
            self._old_leave_by = now + STUCK_AFTER
            self._notifier.tell("READY=1", f"STATUS={len(coming)} workers")
            if old is None:
                self._on_ready()
            else:
                self._send_away(old)
        elif coming.failures or now - coming.began > READY_WITHIN:
            self._coming = None
            self._send_away(coming)
            if self._current is None:
                log.error("the workers do not start")
                self._exit_status = 1
                self._stop()
            else:
                self._close_removed(self._current)
                self._end_reload("the new workers do not start; the log says why")

    def _end_reload(self, error: str | None) -> None:
        if error is None:
            log.info("the configuration is reloaded")
        else:
            log.error("the configuration is not reloaded:\n%s", error)
            self._notifier.tell("READY=1")
        for answer in self._reloading:
            answer({"reloaded": True} if error is None else {"error": error})
        self._reloading = []

    def _close_removed(self, generation: Generation) -> None:
        self._sockets.close_all_but({listener.address for listener in generation.settings.listeners})

    def _send_away(self, generation: Generation) -> None:
        for worker in generation.workers:
            worker.drain()
        # Reload after reload: what the first ones left behind must not fill the memory.
        leaving = [worker for worker in self._workers if worker.draining]
        for worker in leaving[: -_MOST_LEAVING * len(generation)]:
            worker.stop()

    # --- stopping

    def _stop(self) -> None:
        self._notifier.tell("STOPPING=1")
        self._kill_at = time.monotonic() + _KILL_AFTER_STOP
        self._sockets.close()
        for worker in self._workers:
            worker.stop()
        for answer in (*self._reloading, *self._reload_next):
            answer({"error": "the server stops"})


async def _serve(worker: Worker, reports: socket.socket) -> None:
    reporter = await Reporter.on(reports, worker.stop)
    await worker.run(ready=lambda: reporter.start(worker.facts), leaving=reporter.report)
    reporter.close()
