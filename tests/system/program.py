"""Programs that run beside a test, and what they print."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

# A test that waits for something that never comes must end by itself; nothing waits this long when all is well.
PATIENCE = 60.0
_LOOK_EVERY = 0.02


def require(program: str, package: str) -> str:
    """The program's path. Without it the test is skipped; in CI, which installs every package, it fails."""
    # Debian keeps daemons where only root looks for them.
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        missing(f"{program} is not installed: apt-get install {package}")
    return str(found)


def require_root(program: str) -> None:
    """Postfix and Dovecot change to users of their own."""
    if os.geteuid() != 0:
        missing(f"{program} can be started by root only")


def missing(reason: str) -> None:
    """Skip the test, or fail if nothing may be skipped."""
    if os.environ.get("SMTPGATE_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"{reason} (SMTPGATE_REQUIRE_SYSTEM=1)")
    pytest.skip(reason)


class Program:
    """A running program. out, err: the lines that it printed so far."""

    def __init__(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        env: dict[str, str] | None = None,
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        # A group of its own: servers that signal their group must not reach the test.
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._guard = _guard(self._process.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.out), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self.err), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def printed(self) -> str:
        """All of its output, for the message of a failing test."""
        return "\n".join([f"{self._process.args}:", *self.out, "stderr:", *self.err])

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """The line in which the pattern stands for the n-th time; waits for it."""

        def found() -> list[str]:
            return [line for line in (*self.out, *self.err) if re.search(pattern, line)]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= times or not self._is_reading(), PATIENCE)
            lines = found()
        assert len(lines) >= times, f"{pattern!r} did not come {times} times\n{self.printed}"
        return lines[times - 1]

    def until_listening(self, port: int) -> None:
        """Wait until somebody listens on a port of 127.0.0.1."""
        for _ in range(int(PATIENCE / _LOOK_EVERY)):
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            except ConnectionRefusedError:
                assert self.keeps_running(_LOOK_EVERY), self.printed
            else:
                return
        raise AssertionError(f"nobody listens on port {port}\n{self.printed}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status, once it has ended by itself and all of its output was read."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end\n{self.printed}") from None
        self._close()
        return status

    def keeps_running(self, seconds: float) -> bool:
        """Whether it did not end by itself within this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        """End it at once, as a power failure would; nothing happens if it has ended."""
        self._process.kill()
        self._process.wait(PATIENCE)
        self._close()

    @property
    def has_ended(self) -> bool:
        """Whether it runs no longer."""
        return self._process.poll() is not None

    def _is_reading(self) -> bool:
        return any(reader.is_alive() and reader is not threading.current_thread() for reader in self._readers)

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _close(self) -> None:
        self._guard.kill()
        self._guard.communicate()
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _guard(pid: int) -> "subprocess.Popen[bytes]":
    """Ends a program and its group when the tests end, even if they are killed: then nobody holds the pipe's other end.

    (prctl(2) PR_SET_PDEATHSIG would do so without a process, but is lost when a server changes its user.)
    """
    return subprocess.Popen(
        ["sh", "-c", f"read -r _; kill -TERM -{pid}"], stdin=subprocess.PIPE, start_new_session=True
    )
