"""Both ends of the kill test: clients that try again as mail servers do, and a downstream that dies and comes back."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import Enum

# How long a reply may take, in seconds.
_PATIENCE = 60.0
_LARGEST = 2**20
_NUMBER = b"X-Number: "


def content(number: int, attempt: int) -> bytes:
    """The message of a number, as one attempt sends it: lines with dots at their beginning, octets beyond ASCII."""
    chance = random.Random(number)
    lines = [
        chance.choice([b"", b".", b"..", b"\xe4", b"text "]) + chance.randbytes(chance.randrange(60)).translate(_LINE)
        for _ in range(chance.randrange(1, 80))
    ]
    header = b"Subject: numbered\r\n%s%d\r\nX-Attempt: %d\r\n\r\n" % (_NUMBER, number, attempt)
    return header + b"".join(line + b"\r\n" for line in lines)


# No CR, LF or NUL: they are refused.
_LINE = bytes(octet if octet not in b"\r\n\0" else 0x20 for octet in range(256))


def identity(received: bytes) -> tuple[int, int]:
    """The number and the attempt of a message."""
    number, _, rest = received.partition(_NUMBER)[2].partition(b"\r\n")
    return int(number), int(rest.partition(b"X-Attempt: ")[2].partition(b"\r\n")[0])


class Death(Enum):
    """When the downstream dies: now; or at the next message, when it has it but did not answer; or just before."""

    NOW = "now"
    KEEPING = "after a message, before its reply"
    LOSING = "before a message is kept"


class Downstream:
    """An SMTP server that keeps the digests of what it was given. copies: how often each attempt of a number came.

    altered: the numbers whose message was not what had been sent.
    """

    def __init__(self, port: int) -> None:
        self.copies: Counter[tuple[int, int]] = Counter()
        self.altered: list[int] = []
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._dies: Death | None = None

    @property
    def is_up(self) -> bool:
        """Whether it serves."""
        return self._server is not None

    async def start(self) -> None:
        """Serve, again."""
        self._dies = None
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, limit=_LARGEST)

    def die(self, when: Death) -> None:
        """End as a power failure would; what was kept is kept."""
        if when is not Death.NOW:
            self._dies = when
            return
        if self._server is not None:
            server, self._server = self._server, None
            loop = asyncio.get_running_loop()
            loop.remove_reader(server.sockets[0].fileno())
            # Not before those have come in whom asyncio has taken already: it would forget to close their sockets.
            loop.call_soon(server.close)
        for writer in self._connections:
            writer.transport.abort()

    async def close(self) -> None:
        """Die for good, and wait until all connections have noticed."""
        self.die(Death.NOW)
        await asyncio.gather(*self._connections.values())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Known before its task has begun: who dies or closes in between must not forget it.
        if self._server is None:
            writer.transport.abort()
        else:
            self._connections[writer] = asyncio.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 downstream ESMTP\r\n")
            while line := await reader.readline():
                match line[:4].upper():
                    case b"EHLO":
                        writer.write(b"250-downstream\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                    case b"DATA":
                        writer.write(b"354 go on\r\n")
                        # No message begins with a dot: there are our fields.
                        self._keep((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                        writer.write(b"250 2.0.0 kept\r\n")
                    case b"QUIT":
                        writer.write(b"221 bye\r\n")
                        break
                    case _:
                        writer.write(b"250 2.0.0 ok\r\n")
                await writer.drain()
        del self._connections[writer]
        writer.close()

    def _keep(self, stuffed: bytes) -> None:
        """Keep a message, unless it is time to die. Raises ConnectionResetError."""
        dies, self._dies = self._dies, None
        if dies is not Death.LOSING:
            received = stuffed.replace(b"\r\n.", b"\r\n")
            number, attempt = identity(received)
            self.copies[number, attempt] += 1
            if not received.endswith(content(number, attempt)):
                self.altered.append(number)
        if dies is not None:
            self.die(Death.NOW)
            raise ConnectionResetError


class Fate(Enum):
    """What the client knows of an attempt."""

    ACCEPTED = "250"
    DEFERRED = "4xx before the final dot"
    DEFERRED_AT_END = "4xx after the final dot"
    CUT = "connection lost before the final dot"
    CUT_AT_END = "connection lost after the final dot"
    REFUSED = "5xx"


class Client:
    """Sends numbers until each got a 250. fates: of every attempt of every number.

    take: the next number, None at the end. on_fate: awaited after each attempt. pause: before another attempt.
    """

    def __init__(
        self,
        port: int,
        chance: random.Random,
        take: Callable[[], int | None],
        fates: dict[tuple[int, int], Fate],
        on_fate: Callable[[Fate], Awaitable[None]],
        pause: float,
    ) -> None:
        self._port = port
        self._chance = chance
        self._take = take
        self._fates = fates
        self._on_fate = on_fate
        self._pause = pause
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._left = 0

    async def run(self) -> None:
        """Send all that there is to take."""
        while (number := self._take()) is not None:
            attempt, fate = 0, Fate.DEFERRED
            while fate not in (Fate.ACCEPTED, Fate.REFUSED):
                if attempt:
                    await asyncio.sleep(self._pause * self._chance.random())
                attempt += 1
                fate = self._fates[number, attempt] = await self._attempt(number, attempt)
                await self._on_fate(fate)
        self._hang_up()

    async def _attempt(self, number: int, attempt: int) -> Fate:
        at_end = False
        try:
            if self._writer is None:
                await self._connect()
            for command in (b"MAIL FROM:<me@example.com>", b"RCPT TO:<you@example.org>", b"DATA"):
                if code := await self._refused(command + b"\r\n"):
                    return self._after(code, Fate.DEFERRED)
            stuffed = content(number, attempt).replace(b"\r\n.", b"\r\n..")
            at_end = True
            if code := await self._refused(stuffed + b".\r\n"):
                return self._after(code, Fate.DEFERRED_AT_END)
        except (OSError, EOFError, TimeoutError):
            self._hang_up()
            return Fate.CUT_AT_END if at_end else Fate.CUT
        self._left -= 1
        if not self._left:
            self._hang_up()
        return Fate.ACCEPTED

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._left = self._chance.randrange(1, 6)
        for command in (b"", b"EHLO client.example.net\r\n"):
            if await self._refused(command):
                raise EOFError

    async def _refused(self, sent: bytes) -> int:
        """Send, wait for the reply; its code if it is a refusal, otherwise 0."""
        assert self._writer is not None
        self._writer.write(sent)
        async with asyncio.timeout(_PATIENCE):
            line = b"   -"
            while line[3:4] == b"-":
                line = await self._reader.readuntil(b"\r\n")
        code = int(line[:3])
        return code if code >= 400 else 0

    def _after(self, code: int, fate: Fate) -> Fate:
        """A refusal ends the session, as with many mail servers; the next attempt connects anew."""
        self._hang_up()
        return Fate.REFUSED if code >= 500 else fate

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
