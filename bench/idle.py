"""What sessions cost that only sit there: memory with thousands of them, and a good client's time among them.

Each has said EHLO. The goal is 200 MB for 10,000 in all processes, and less than twice the time for a message.
"""

import argparse
import resource
import smtplib
import socket
import time
from statistics import quantiles

from bench.cpu import memory_of_tree
from bench.peers import RECIPIENT, smtp_sink, smtpgate
from bench.processes import Unusable, workplace

_MESSAGES = 200
# So many may wait at one time to be accepted: fewer than the server's backlog.
_AT_ONCE = 200
_BODY = "Subject: hello\r\n\r\n" + "It works.\r\n" * 400


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--sessions", type=int, default=10_000, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if args.sessions > limit - 100:
        raise Unusable(f"a process may open {limit} files only: ulimit -Hn")
    with workplace() as directory, smtp_sink(directory) as sink, smtpgate(directory / "smtpgate", sink) as gate:
        _message_times(gate.port)  # warm
        before = _message_times(gate.port)
        print(f"no sessions: {memory_of_tree(gate.pid):.0f} MiB; a message's p95 {before * 1000:.1f} ms", flush=True)
        idle: list[socket.socket] = []
        try:
            while len(idle) < args.sessions:
                idle += _sit_down(gate.port, min(_AT_ONCE, args.sessions - len(idle)))
            memory = memory_of_tree(gate.pid)
            after = _message_times(gate.port)
            print(
                f"{len(idle)} idle: {memory:.0f} MiB; a message's p95 {after * 1000:.1f} ms, {after / before:.2f} times"
            )
        finally:
            for sock in idle:
                sock.close()
    return 0


def _sit_down(port: int, count: int) -> list[socket.socket]:
    """So many sessions that have said EHLO and got the answer."""
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for sock in socks:
        read_reply(sock)
        sock.sendall(b"EHLO client.example.net\r\n")
    for sock in socks:
        read_reply(sock)
    return socks


def read_reply(sock: socket.socket) -> None:
    """Read one reply to its end. Raises Unusable."""
    data = b""
    while not data.endswith(b"\r\n") or data[:-2].rpartition(b"\r\n")[2][3:4] == b"-":
        more = sock.recv(4096)
        if not more:
            raise Unusable(f"the server hung up: {data!r}")
        data += more


def _message_times(port: int) -> float:
    """The 95th percentile of the seconds that one message takes, connection included."""
    times = []
    for _ in range(_MESSAGES):
        started = time.perf_counter()
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.net") as client:
            client.sendmail("me@example.net", [RECIPIENT], _BODY)
        times.append(time.perf_counter() - started)
    return quantiles(times, n=20)[-1]
