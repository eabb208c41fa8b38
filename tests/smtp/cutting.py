"""A client whose bytes reach the dialog in pieces, cut wherever a test wants."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Iterator

from smtpgate.smtp.dialog import Dialog
from tests.harness import PATIENCE, Client

Cut = Callable[[bytes], Iterable[bytes]]


class CountingDialog(Dialog):
    """received: how many bytes came from the client, TLS taken off."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)


class CuttingClient(Client):
    """Sends everything in the pieces that `cut` makes of it, and each one only when the server has read the last."""

    def __init__(self, client: Client, connections: Collection[CountingDialog], cut: Cut) -> None:
        super().__init__(client.reader, client.writer)
        self._connections = connections
        self._cut = cut

    async def send(self, *lines: str | bytes) -> None:
        data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        for connection in list(self._connections):
            for piece in self._cut(data):
                if connection in self._connections:  # it was not sent away
                    self.writer.write(piece)
                    await self._until_read(connection, connection.received + len(piece))

    async def _until_read(self, connection: CountingDialog, total: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while connection.received < total and connection in self._connections:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(5):  # the dialog has its turn
            await asyncio.sleep(0)


def _bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def _at_random(seed: int) -> Cut:
    def cut(data: bytes) -> Iterator[bytes]:
        sizes = random.Random(f"{seed} {data!r}")
        while data:
            size = sizes.choice((1, 2, 3, 7, 20, 100))
            yield data[:size]
            data = data[size:]

    return cut


CUTS = {"bytewise": _bytewise, "random-1": _at_random(1), "random-2": _at_random(2)}
