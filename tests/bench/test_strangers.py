"""The clients of the measurements: what they say, and what is counted."""

import asyncio
import re

from bench.mail import Kind
from bench.strangers import Strangers
from tests.loops import on_both_loops

KIND = Kind("a dot", 1, b"Subject: x\r\n\r\n.\r\n")
REPLIES = ["220 mx", "250-mx\r\n250-SIZE\r\n250 DSN", "250 ok", "250 ok", "354 go", "250 2.0.0 taken"]
COMMANDS = [
    rb"EHLO h(\d+)-(\d+)-(\d+)\.hosts\.example\r\n",
    rb"MAIL FROM:<ann@d\d+\.senders\.example>\r\n",
    rb"RCPT TO:<you@example\.org>\r\n",
    rb"DATA\r\n",
    rb"Subject: x\r\n\r\n\.\.\r\n\.\r\n",
    rb"",
]


class Server:
    """It gives its replies, octet by octet; then it hangs up. heard: what came after each, by address of the client."""

    def __init__(self, replies: list[str]) -> None:
        self.heard: dict[str, list[bytes]] = {}
        self._replies = replies

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        heard = self.heard.setdefault(writer.get_extra_info("peername")[0], [])
        for reply in self._replies:
            for octet in reply.encode() + b"\r\n":
                writer.write(bytes((octet,)))
                await asyncio.sleep(0)
            heard.append(await self._next(reader, b"\r\n.\r\n" if reply.startswith("354") else b"\n"))
        writer.close()

    async def _next(self, reader: asyncio.StreamReader, end: bytes) -> bytes:
        try:
            return await reader.readuntil(end)
        except asyncio.IncompleteReadError as rest:
            return rest.partial


async def visited(replies: list[str], times: int = 1) -> tuple[Server, Strangers]:
    """A server with these replies, after so many sessions, and the clients."""
    server = Server(replies)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        strangers = Strangers(listening.sockets[0].getsockname()[1], [KIND])
        for _ in range(times):
            await strangers.send(0.0, 1)
    return server, strangers


@on_both_loops
async def test_each_message_is_from_somebody_else():
    server, strangers = await visited(REPLIES, 3)
    assert len(server.heard) == 3
    assert len({heard[1] for heard in server.heard.values()}) == 3
    for address, heard in server.heard.items():
        said = [re.fullmatch(command, line) for command, line in zip(COMMANDS, heard, strict=True)]
        assert all(said), heard
        assert said[0]
        assert address == ".".join(["127", *(octet.decode() for octet in said[0].groups())])
    assert strangers.answers == {"a dot": {"250 2.0.0": 3}}
    assert len(strangers.latencies) == 3


@on_both_loops
async def test_a_refusal_ends_it():
    server, strangers = await visited([*REPLIES[:3], "550 5.7.1 no"])
    ((*_, last),) = server.heard.values()
    assert last == b""
    assert strangers.answers == {"a dot": {"550 5.7.1": 1}}


@on_both_loops
async def test_a_server_that_hangs_up_or_is_not_there_is_counted():
    _, strangers = await visited(REPLIES[:3])
    assert strangers.answers == {"a dot": {"ConnectionResetError": 1}}
    await strangers.send(0.0, 1)
    assert strangers.answers["a dot"].total() == 2
    assert strangers.latencies == []
