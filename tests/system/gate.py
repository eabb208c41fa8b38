"""smtpgate as the administrator runs it: a process with a configuration, a port and a database of its own."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.ports import free_port
from smtpgate.server.control import ask
from tests.system.program import PATIENCE, Program

ROOT = Path(__file__).parents[2]

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = {workers}
{server}
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "{relay}"
timeout = "60s"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
rcpt = ["reject_non_fqdn_recipient", "reject_unauth_destination"]
"""


def smtpgate() -> list[str]:
    """The command: the console script of the environment that runs the tests, or else the module."""
    script = Path(sys.executable).with_name("smtpgate")
    return [str(script)] if script.exists() else [sys.executable, "-m", "smtpgate"]


def environment() -> dict[str, str]:
    """Every warning of the server's is an error here too."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


class Gate:
    """A server that start() starts, again if need be. relay: the downstream's URL. config: instead of the usual one;
    {port} in it is replaced.
    """

    def __init__(
        self, directory: Path, relay: str = "", *, server: str = "", workers: int = 1, config: str = _CONFIG
    ) -> None:
        self.directory = directory
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        text = config.replace("{port}", str(self.port)).replace("{relay}", relay).replace("{server}", server)
        text = text.replace("{workers}", str(workers))
        (directory / "config.toml").write_text(text)
        self.program: Program
        self._talks: list[Talk] = []

    def start(self, *options: str) -> "Gate":
        """Run it, until it listens."""
        self.program = self.run_serve(*options)
        self.program.wait_for("^smtpgate listens on ")
        return self

    def run_serve(self, *options: str) -> Program:
        """`smtpgate serve`, however it ends."""
        return Program([*smtpgate(), "serve", "--config", "config.toml", *options], self.directory, environment())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end; it must do so in peace."""
        self.program.signal(number)
        self.ended_well()

    def ended_well(self) -> None:
        """It ended with status 0 and printed no traceback."""
        status = self.program.wait()
        assert status == 0, self.program.printed
        assert "Traceback" not in "\n".join(self.program.err), self.program.printed

    def client(self, source: str = "127.0.0.1") -> smtplib.SMTP:
        """A connected client. source: its own address."""
        return smtplib.SMTP(
            "127.0.0.1", self.port, local_hostname="client.example.net", timeout=PATIENCE, source_address=(source, 0)
        )

    def talk(self) -> "Talk":
        """A client that speaks line by line."""
        talk = Talk(socket.create_connection(("127.0.0.1", self.port), PATIENCE))
        self._talks.append(talk)
        return talk

    def close(self) -> None:
        """End all talks, and the server if it still runs."""
        for talk in self._talks:
            talk.close()
        if self.program.has_ended:
            self.program.wait()
        else:
            self.stop()

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of smtpgate's to its end."""
        return subprocess.run(
            [*smtpgate(), *arguments, "--config", "config.toml"],
            cwd=self.directory,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What `smtpgate status --json` would print."""
        return ask(str(self.directory / "var" / "smtpgate.sock"), "status", PATIENCE)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return [worker["pid"] for worker in self.status()["workers"]]

    def change(self, old: str, new: str) -> None:
        """Change what stands once in its configuration."""
        path = self.directory / "config.toml"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def logged(self, ref: str) -> dict[str, Any]:
        """The transaction's log line, when it is written."""
        line = self.program.wait_for(f'"{ref}"')
        fields: dict[str, Any] = json.loads(line)
        return fields


class Talk:
    """One side of an SMTP dialog on a socket: a client's, or a downstream's that the test plays itself."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        connected.settimeout(PATIENCE)
        self._input = connected.makefile("rb")

    def send(self, *lines: str) -> None:
        """Send lines in one piece."""
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def line(self) -> str:
        """The next line, without its end; "" when the other side closed."""
        return self._input.readline().decode().removesuffix("\r\n")

    def begins_with(self, text: str) -> bool:
        """Whether the next line begins so; it is still to be read."""
        return self._input.peek().startswith(text.encode())

    def reply(self) -> str:
        """The last line of the next reply."""
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def ask(self, *lines: str) -> str:
        """Send, and wait for one reply."""
        self.send(*lines)
        return self.reply()

    def content(self) -> bytes:
        """All lines up to the final dot, which is left out; stuffed dots are taken out."""
        lines = []
        while (line := self._input.readline()) != b".\r\n":
            assert line, "closed in the middle of the content"
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def half_close(self) -> None:
        """Send no more, but go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Be gone at once: the other side gets a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Close."""
        self._input.close()
        self.socket.close()
