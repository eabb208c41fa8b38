"""A client that is a new stranger for every message: another address, another name, another sender."""

import asyncio
import random
import time
from collections import Counter

from bench.mail import Kind


class Strangers:
    """Sends mail to a port on 127.0.0.1. answers: how the last reply of each message began, by kind of message.
    latencies: how long each message took from its connection to its last reply, in seconds.
    """

    def __init__(self, port: int, kinds: list[Kind], seed: int = 1, *, recipient: str = "you@example.org") -> None:
        self.latencies: list[float] = []
        self.answers: dict[str, Counter[str]] = {kind.name: Counter() for kind in kinds}
        self._port = port
        self._recipient = recipient.encode()
        self._kinds = [(kind, kind.content.replace(b"\r\n.", b"\r\n..") + b".\r\n") for kind in kinds]
        self._random = random.Random(seed)

    async def send(self, seconds: float, sessions: int) -> None:
        """Send for so long, in so many sessions at one time. Every kind of message is sent once before the rest."""
        until = time.monotonic() + seconds
        for kind, octets in self._kinds:
            await self._one(kind, octets)
        await asyncio.gather(*(self._many(until) for _ in range(sessions)))

    async def _many(self, until: float) -> None:
        weights = [kind.weight for kind, _ in self._kinds]
        while time.monotonic() < until:
            await self._one(*self._random.choices(self._kinds, weights)[0])

    async def _one(self, kind: Kind, octets: bytes) -> None:
        """One session with one message."""
        x, y, z = (self._random.randrange(1, 255) for _ in range(3))
        # A small domain of senders, so that nobody is met twice.
        domain = f"d{self._random.getrandbits(40)}.senders.example"
        commands = [
            None,
            b"EHLO h%d-%d-%d.hosts.example\r\n" % (x, y, z),
            b"MAIL FROM:<ann@%s>\r\n" % domain.encode(),
            b"RCPT TO:<%s>\r\n" % self._recipient,
            b"DATA\r\n",
            octets,
        ]
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(f"127.{x}.{y}.{z}", 0))
        try:
            for command in commands:
                if command is not None:
                    writer.write(command)
                    await writer.drain()
                answer = await _reply(reader)
                if answer[:1] not in (b"2", b"3"):
                    break
            self.latencies.append(time.perf_counter() - started)
            self.answers[kind.name][answer[:9].decode("ascii", "replace")] += 1
        except (OSError, asyncio.IncompleteReadError) as trouble:
            self.answers[kind.name][type(trouble).__name__] += 1
        finally:
            writer.close()


async def _reply(reader: asyncio.StreamReader) -> bytes:
    """The last line of a reply."""
    while (line := await reader.readuntil(b"\n"))[3:4] == b"-":
        pass
    return line
