"""Policy services as Debian has them, beside the gate: postgrey, and policyd-spf as Postfix's spawn would start it."""

import os
import socket
import subprocess
import threading
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.rrset

from bench.ports import free_port
from tests.system.program import PATIENCE, Program, require, require_root

# What policyd-spf's library would read from /etc/resolv.conf.
_SITECUSTOMIZE = """
import DNS
DNS.Base.DiscoverNameServers = DNS.DiscoverNameServers = lambda: None
DNS.Base.defaults.update(server=["127.0.0.1"], port={port})
"""
_POLICYD_SPF_CONF = """
debugLevel = 0
TestOnly = 1
HELO_reject = False
Mail_From_reject = Fail
PermError_reject = False
TempError_Defer = False
"""


class Postgrey:
    """A postgrey that puts strangers off for a second. unix: it listens at a path."""

    def __init__(self, directory: Path, *, unix: bool) -> None:
        postgrey = require("postgrey", "postgrey")
        require_root("postgrey")
        address = f"unix={directory / 'postgrey'}" if unix else f"inet=127.0.0.1:{free_port()}"
        self.service = address.replace("=", ":", 1)
        users = ("--user=root", "--group=root")
        self.program = Program([postgrey, f"--{address}", f"--dbdir={directory}", "--delay=1", *users], directory)
        self.program.wait_for("^Setting gid")

    def stop(self) -> None:
        """End it."""
        self.program.kill()


class PolicydSpf:
    """A policyd-spf for each connection, which asks a name server of ours. records: TXT by name."""

    def __init__(self, directory: Path, records: dict[str, str]) -> None:
        command = require("policyd-spf", "postfix-policyd-spf-python")
        self._names = _NameServer(records)
        (directory / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(port=self._names.port))
        config = directory / "policyd-spf.conf"
        config.write_text(_POLICYD_SPF_CONF)
        # The tests' own Python is not the one that has policyd-spf.
        self._command = ["/usr/bin/python3", command, str(config)]
        self._environment = {**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
        self.started: list[subprocess.Popen[bytes]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.service = f"inet:127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._spawn)
        self._thread.start()

    def stop(self) -> None:
        """End all of them."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)
        for process in self.started:
            process.kill()
            process.wait(PATIENCE)
        self._names.stop()

    def _spawn(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.started.append(
                    subprocess.Popen(self._command, stdin=connection, stdout=connection, env=self._environment)
                )


class _NameServer:
    """Answers TXT questions; everything else exists without data."""

    def __init__(self, records: dict[str, str]) -> None:
        self._records = records
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        """End it: an empty packet says so."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            name = query.question[0].name
            text = self._records.get(name.to_text(omit_final_dot=True).lower())
            if text is not None and query.question[0].rdtype == dns.rdatatype.TXT:
                answer.answer.append(dns.rrset.from_text(name, 300, "IN", "TXT", f'"{text}"'))
            self._socket.sendto(answer.to_wire(), client)
