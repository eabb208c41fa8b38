"""smtpgate as a systemd service, with a systemd that the test plays."""

import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.gate import Gate, environment, smtpgate
from tests.system.program import PATIENCE, Program

# As systemd does it: the socket becomes file descriptor 3 of the process that is told so.
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Systemd:
    """Holds the listening socket, and hears what the service says."""

    def __init__(self, directory: Path) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = str(directory / "notify")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self.address)
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def hears(self, wanted: str = "") -> list[str]:
        """The lines of the next message that is no sign of life; of the next one that is, if that is wanted."""
        while True:
            message = self._heard.get(timeout=PATIENCE)
            if (message == "WATCHDOG=1") == (wanted == "WATCHDOG=1"):
                return message.split("\n")

    def _read(self) -> None:
        while message := self._notify.recv(4096):
            self._heard.put(message.decode())

    def close(self) -> None:
        """Hear no more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._reader.join()
        self.listening.close()
        self._notify.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    played = Systemd(tmp_path)
    yield played
    played.close()


def start(gate: Gate, systemd: Systemd, **variables: str) -> None:
    fd = systemd.listening.fileno()
    command = [sys.executable, "-c", _ACTIVATE, str(fd), *smtpgate(), "serve", "--config", "config.toml"]
    variables |= environment() | {"NOTIFY_SOCKET": systemd.address}
    gate.program = Program(command, gate.directory, variables, pass_fds=[fd])


def test_socket_activation(systemd: Systemd, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", "maildir:mail", workers=2)
    port = systemd.listening.getsockname()[1]
    gate.change(f":{gate.port}", f":{port}")
    gate.port = port
    early = gate.talk()  # before anybody is there to accept
    start(gate, systemd)
    assert early.reply().startswith("220 ")
    early.close()
    assert systemd.hears()[0] == "READY=1"
    gate.stop()
    # The socket is systemd's: who comes now waits for the next start.
    waiting = gate.talk()
    start(gate, systemd)
    assert waiting.reply().startswith("220 ")
    waiting.close()
    gate.stop()


def test_what_systemd_hears(systemd: Systemd, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", "maildir:mail")
    start(gate, systemd, WATCHDOG_USEC="200000")
    assert systemd.hears() == ["READY=1", "STATUS=1 workers"]
    assert systemd.hears("WATCHDOG=1") == ["WATCHDOG=1"]
    assert gate.command("reload").returncode == 0
    reloading = systemd.hears()
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert systemd.hears()[0] == "READY=1"
    (gate.directory / "config.toml").write_text("wrong")
    gate.program.signal(signal.SIGHUP)
    assert systemd.hears()[0] == "RELOADING=1"
    assert systemd.hears()[0] == "READY=1"
    gate.program.signal(signal.SIGTERM)
    assert systemd.hears() == ["STOPPING=1"]
    gate.ended_well()
