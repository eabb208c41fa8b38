"""Processes that a measurement starts and ends, each by its own process id."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# How long a server may take to listen, or to end, in seconds.
PATIENCE = 60.0
# What stands for other machines, the client and whoever the gate talks to, does not take the core from the gate in the
# midst of its work, as it could not from there: it waits until a process sleeps or its turn is over (sched(7)).
ELSEWHERE = ("chrt", "--batch", "0")


class Unusable(Exception):
    """The measurement cannot be made here; the text says why."""


def require(program: str, package: str = "postfix") -> str:
    """The program's path. Raises Unusable."""
    # Debian keeps daemons where only root looks for them.
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise Unusable(f"{program} is not installed: apt-get install {package}")
    return found


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A directory that is gone afterwards. Other users may enter it: Postfix's daemons are one."""
    with tempfile.TemporaryDirectory(prefix="smtpgate-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """This thread stands for another machine while the block runs, as ELSEWHERE does for a command."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def server(command: Sequence[str | Path], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that runs while the block does. Its output goes into the log."""
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the measurement alone, which ends its servers in order.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_until_listening(port, log, process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_listening(port: int, log: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until somebody listens on the port. Raises Unusable with the end of the log."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Unusable(f"a server did not start:\n{log.read_text(errors='replace')[-2000:]}")
