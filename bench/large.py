"""Large messages from many clients at once: whether all arrive, how fast, and how much memory it takes."""

import argparse
import asyncio
import socket
import threading
import time

from bench import cpu
from bench.peers import RECIPIENT, smtp_sink, smtpgate
from bench.processes import Unusable, workplace
from bench.report import headline

_LINE = b"The quick brown fox jumps over the lazy dog, again and again it runs.\r\n"
# No client may wait longer than this for one message, in seconds.
_PATIENCE = 300.0
# How long the gate is left alone before its memory is looked at again, in seconds.
_REST = 12.0
# How often its memory is looked at meanwhile, in seconds.
_INTERVAL = 0.05


class Peak:
    """The most memory that a gate has while the block runs, in MiB; what its processes share is counted once."""

    def __init__(self, pid: int) -> None:
        self.memory = 0.0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_INTERVAL):
            self.memory = max(self.memory, cpu.memory_of_tree(self._pid))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--clients", type=int, default=200, help="at one time (%(default)s)")
    parser.add_argument("--megabytes", type=float, default=10, help="of each message (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="messages that each client sends (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 if a message did not arrive."""
    body = _LINE * round(args.megabytes * 10**6 / len(_LINE))
    content = memoryview(b"From: me@example.net\r\nSubject: large\r\n\r\n" + body + b".\r\n")
    with workplace() as directory, smtp_sink(directory) as sink, smtpgate(directory / "smtpgate", sink) as gate:
        print(headline())
        print(f"{args.clients} clients at once, {args.megabytes:g} MB each")
        print(f"  before   {cpu.memory_of_tree(gate.pid):.0f} MiB")
        lost = 0
        for number in range(1, args.rounds + 1):
            started = time.perf_counter()
            with Peak(gate.pid) as peak:
                answers = asyncio.run(_all(gate.port, content, args.clients))
            seconds = time.perf_counter() - started
            refused = [answer for answer in answers if not answer.startswith(b"250 ")]
            lost += len(refused)
            rate = (len(answers) - len(refused)) / seconds
            speed = f"{rate:.1f} messages/s, {rate * len(content) / 1e6:.0f} MB/s"
            print(f"  round {number}  {peak.memory:.0f} MiB at most, {speed}")
            for answer in set(refused):
                print(f"           {answer.decode(errors='replace').strip()}")
        time.sleep(_REST)
        print(f"  after    {cpu.memory_of_tree(gate.pid):.0f} MiB")
    return int(lost > 0)


async def _all(port: int, content: memoryview, clients: int) -> list[bytes]:
    """The last answer that each client got. All send their content at the same time."""
    ready = asyncio.Barrier(clients)
    async with asyncio.timeout(_PATIENCE):
        return list(await asyncio.gather(*(_one(port, content, ready) for _ in range(clients))))


async def _one(port: int, content: memoryview, ready: asyncio.Barrier) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await _reply(sock)
        for command in ("EHLO client.example.net", "MAIL FROM:<me@example.net>", f"RCPT TO:<{RECIPIENT}>", "DATA"):
            await loop.sock_sendall(sock, command.encode() + b"\r\n")
            answer = await _reply(sock)
            if answer[:1] not in b"23":
                raise Unusable(f"{command}: {answer.decode(errors='replace')}")
        await ready.wait()
        # Not copied: the client's own memory must not be what is measured.
        await loop.sock_sendall(sock, content)
        return await _reply(sock)


async def _reply(sock: socket.socket) -> bytes:
    """The last line of a reply."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(b"\n") or data.splitlines()[-1][3:4] == b"-":
        more = await loop.sock_recv(sock, 4096)
        if not more:
            return b"(closed) " + data
        data += more
    return data.splitlines()[-1]
