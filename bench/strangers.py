"""A client that is a new stranger for every message: another address, another name, another sender.

It shares the machine with what it measures, so it does little: callbacks alone, and octets that are ready to be sent.
"""

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from bench.mail import Kind
from bench.processes import elsewhere

# The kernel chooses the port when it knows the peer: otherwise it must find one that is free for all peers (ip(7)).
_IP_BIND_ADDRESS_NO_PORT = 24


class Strangers:
    """Sends mail to a port on 127.0.0.1. answers: how the last reply of each message began, by kind of message.
    latencies: how long each message took from its connection to its last reply, in seconds.
    """

    def __init__(self, port: int, kinds: list[Kind], seed: int = 1, *, recipient: str = "you@example.org") -> None:
        self.latencies: list[float] = []
        self.answers: dict[str, Counter[str]] = {kind.name: Counter() for kind in kinds}
        self._server = ("127.0.0.1", port)
        self._recipient = b"RCPT TO:<%s>\r\n" % recipient.encode()
        self._kinds = [(kind.name, kind.content.replace(b"\r\n.", b"\r\n..") + b".\r\n") for kind in kinds]
        self._weights = [kind.weight for kind in kinds]
        self._random = random.Random(seed)

    async def send(self, seconds: float, sessions: int) -> None:
        """Send for so long, in so many sessions at one time. Every kind of message is sent once before the rest."""
        until = time.monotonic() + seconds
        with elsewhere():
            for name, octets in self._kinds:
                await self._one(name, octets)
            await asyncio.gather(*(self._many(until) for _ in range(sessions)))

    async def _many(self, until: float) -> None:
        while time.monotonic() < until:
            await self._one(*self._random.choices(self._kinds, self._weights)[0])

    async def _one(self, name: str, octets: bytes) -> None:
        """One session with one message."""
        x, y, z = self._random.choices(range(1, 255), k=3)
        commands = (
            b"EHLO h%d-%d-%d.hosts.example\r\n" % (x, y, z),
            # A small domain of senders, so that nobody is met twice.
            b"MAIL FROM:<ann@d%d.senders.example>\r\n" % self._random.getrandbits(40),
            self._recipient,
            b"DATA\r\n",
            octets,
        )
        loop = asyncio.get_running_loop()
        session = _Session(commands, loop.create_future())
        started = time.perf_counter()
        sock = socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.{x}.{y}.{z}", 0))
            # On loopback that is all; else the first read waits, and tells if it failed.
            with suppress(BlockingIOError):
                sock.connect(self._server)
            await loop.create_connection(lambda: session, sock=sock)
            answer = await session.answer
        except OSError as trouble:
            sock.close()
            self.answers[name][type(trouble).__name__] += 1
        else:
            self.latencies.append(time.perf_counter() - started)
            self.answers[name][answer[:9].decode("ascii", "replace")] += 1


class _Session(asyncio.Protocol):
    """A dialog, one command after another, until one is refused or the last is answered; then it hangs up.

    answer: the last line of the last reply; ConnectionError if there is none.
    """

    def __init__(self, commands: Iterable[bytes], answer: asyncio.Future[bytes]) -> None:
        self.answer = answer
        self._commands = iter(commands)
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server speaks first."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A reply, or a part of one."""
        reply = self._received + data
        line = reply[reply.rfind(b"\n", 0, -1) + 1 :]
        if not line.endswith(b"\n") or line[3:4] == b"-":
            self._received = reply
            return
        self._received = b""
        command = next(self._commands, None) if line[:1] in (b"2", b"3") else None
        if command is None:
            self.answer.set_result(line)
            self._transport.close()
        else:
            self._transport.write(command)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up, or we did."""
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError())
