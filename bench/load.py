"""The load: Postfix's smtp-source, with one kind of message."""

import subprocess
import time
from typing import NamedTuple

from bench.peers import RECIPIENT
from bench.processes import ELSEWHERE, Unusable, require


class Case(NamedTuple):
    """A kind of load. size: octets of a message's body. reuse: many messages a connection."""

    name: str
    size: int
    reuse: bool


CASES = (
    Case("4 KB, one a connection", 4096, False),
    Case("4 KB, many a connection", 4096, True),
    Case("1 MB, one a connection", 2**20, False),
)


def send(port: int, case: Case, messages: int, sessions: int) -> float:
    """Send so many messages in parallel sessions; the seconds that it took. Raises Unusable if one is not accepted."""
    command = [
        *ELSEWHERE, require("smtp-source"), *(["-d"] if case.reuse else []),
        "-s", str(sessions), "-m", str(messages), "-l", str(case.size),
        "-M", "client.example.net", "-f", "me@example.net", "-t", RECIPIENT, f"127.0.0.1:{port}",
    ]  # fmt: skip
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Unusable(f"{messages} messages were not sent within 120 s") from None
    seconds = time.perf_counter() - started
    if done.returncode or done.stderr:
        raise Unusable(f"smtp-source: {done.stderr.strip() or done.returncode}")
    return seconds


def rate(port: int, case: Case, sessions: int) -> float:
    """Messages per second, roughly, measured in about half a second; it also warms the gate up."""
    messages = sessions
    while (seconds := send(port, case, messages, sessions)) < 0.4:
        messages = round(messages * min(10.0, 0.6 / seconds)) + 1
    return messages / seconds
