"""What a message costs among connections: the gate's CPU time for each, as those that sit idle grow more.

Each idle one has said EHLO; a steady stream of 4 KB messages flows beside them, one a connection. The goal: with 10,000
a message costs at most 1.3 times as much as with 10.
"""

import argparse
import asyncio
import resource
import socket
from statistics import median

from bench import cpu
from bench.idle import read_reply
from bench.peers import RECIPIENT, smtp_sink, smtpgate
from bench.processes import Unusable, workplace
from bench.report import headline

_STEPS = (10, 100, 1_000, 10_000)
_CONTENT = (
    b"From: me@example.net\r\nSubject: steady\r\n\r\n"
    + b"It works, again and again, and once more.\r\n" * 97
    + b".\r\n"
)
# So many may wait at one time to be accepted: fewer than the server's backlog.
_AT_ONCE = 200
# So many connections come from one source address, which has some 28,000 ports.
_PER_ADDRESS = 2_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--rate", type=int, default=100, help="messages a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="at each number of connections (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if _STEPS[-1] > limit - 100:
        raise Unusable(f"a process may open {limit} files only: ulimit -Hn")
    with workplace() as directory, smtp_sink(directory) as sink, smtpgate(directory / "smtpgate", sink) as gate:
        print(headline())
        print(
            f"{args.rate} messages/s of 4 KB, {args.rounds} rounds of {args.seconds:g} s; CPU of the gate, ms/message"
        )
        idle: list[socket.socket] = []
        first = 0.0
        try:
            asyncio.run(_stream(gate.port, args.rate, args.seconds))  # warm
            for count in _STEPS:
                _sit_down(gate.port, idle, count)
                spent = [_cost(gate.port, gate.pid, args) for _ in range(args.rounds)]
                first = first or median(spent)
                told = f"{median(spent):.2f} ({min(spent):.2f}-{max(spent):.2f})"
                print(f"  {count:>6} idle  {told}  {median(spent) / first:.2f} times", flush=True)
        finally:
            for sock in idle:
                sock.close()
    return 0


def _cost(port: int, pid: int, args: argparse.Namespace) -> float:
    """The gate's CPU time for a message, in ms; what it spends on the idle ones meanwhile is counted too."""
    before = cpu.of_tree(pid)
    sent = asyncio.run(_stream(port, args.rate, args.seconds))
    return (cpu.of_tree(pid) - before) / sent * 1000


def _sit_down(port: int, idle: list[socket.socket], count: int) -> None:
    """Have so many sessions that have said EHLO."""
    while len(idle) < count:
        socks = []
        for number in range(len(idle), min(count, len(idle) + _AT_ONCE)):
            source = f"127.0.1.{1 + number // _PER_ADDRESS}"
            socks.append(socket.create_connection(("127.0.0.1", port), source_address=(source, 0)))
        for sock in socks:
            read_reply(sock)
            sock.sendall(b"EHLO client.example.net\r\n")
        for sock in socks:
            read_reply(sock)
        idle += socks


async def _stream(port: int, rate: int, seconds: float) -> int:
    """Send so many messages a second, each when its time has come; how many were sent."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending = []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        sending.append(asyncio.create_task(_one(port)))
    await asyncio.gather(*sending)
    return len(sending)


async def _one(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _reply(reader)
    commands = (
        b"EHLO client.example.net",
        b"MAIL FROM:<me@example.net>",
        b"RCPT TO:<%b>" % RECIPIENT.encode(),
        b"DATA",
    )
    for command in commands:
        writer.write(command + b"\r\n")
        await _reply(reader)
    writer.write(_CONTENT)
    await _reply(reader)
    writer.write(b"QUIT\r\n")
    await _reply(reader)
    writer.close()


async def _reply(reader: asyncio.StreamReader) -> None:
    while (line := await reader.readuntil(b"\n"))[3:4] == b"-":
        pass
    if line[:1] not in b"23":
        raise Unusable(f"the server said: {line.decode(errors='replace').strip()}")
