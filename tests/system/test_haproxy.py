"""haproxy in front, as it is: both versions of the PROXY protocol, checksums, and its health checks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.system.gate import Gate
from tests.system.peers import in_maildir
from tests.system.program import Program, require

_GATE = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
proxy_protocol = ["127.0.0.1"]
[relay]
url = "maildir:mail"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""
# The health check is a session of its own in SMTP, which haproxy makes for itself; its outcome goes to standard output.
_HAPROXY = """
global
  log stdout format raw daemon notice
defaults
  mode tcp
  log global
  option log-health-checks
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  timeout check 60s
listen smtp
  bind 127.0.0.1:{port}
  option smtpchk EHLO haproxy.example.net
  server gate 127.0.0.1:{gate} {send} check inter 100 fall 1 rise 1
"""
SENDING = {
    "v1": ("send-proxy", "PROXY v1"),
    "v2": ("send-proxy-v2", "PROXY v2"),
    "v2 with checksum": ("send-proxy-v2 proxy-v2-options crc32c,unique-id", "PROXY v2"),
}


@pytest.fixture
def haproxy(serve: Callable[..., Gate], tmp_path: Path) -> Iterator[Callable[[str], Gate]]:
    """Start a gate behind haproxy, which sends headers in one way; gate.port is haproxy's."""
    started: list[Program] = []

    def start(send: str) -> Gate:
        program = require("haproxy", "haproxy")
        gate = serve(config=_GATE)
        port = free_port()
        config = tmp_path / "haproxy.cfg"
        config.write_text(_HAPROXY.format(port=port, gate=gate.port, send=send))
        started.append(Program([program, "-db", "-f", str(config)], tmp_path))
        started[0].wait_for("Health check for server smtp/gate succeeded")
        gate.port = port
        return gate

    yield start
    for running in started:
        running.kill()


@pytest.mark.parametrize("way", SENDING)
def test_the_client_is_the_client(way: str, haproxy: Callable[[str], Gate]) -> None:
    send, by = SENDING[way]
    gate = haproxy(send)
    with gate.client(source="127.0.9.9") as client:
        assert client.sendmail("me@example.com", ["you@example.org"], b"Subject: x\r\n\r\nIt works.\r\n") == {}
    [message] = in_maildir(gate.directory / "mail")
    assert b"Received: from client.example.net ([127.0.9.9])\r\n" in message
    told = gate.command("why", "you@example.org").stdout
    assert "CLIENT   127.0.9.9 connected to 127.0.0.1:" in told
    assert f", says 127.0.0.1 ({by})" in told


def test_health_checks_leave_no_trouble(haproxy: Callable[[str], Gate]) -> None:
    """LOCAL: haproxy speaks for itself, says EHLO and leaves."""
    gate = haproxy("send-proxy-v2")
    with gate.client() as client:
        assert client.noop()[0] == 250
    assert not [line for line in gate.program.err if "PROXY header" in line]
