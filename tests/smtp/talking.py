"""What tests of sessions say, and how."""

import socket
import struct

from tests.harness import Client, Gate

BODY = b"Subject: hello\r\n\r\nIt works.\r\n"
GREETING = ["EHLO client.example.net"]
ENVELOPE = [*GREETING, "MAIL FROM:<me@example.net>", "RCPT TO:<you@example.org>"]


async def assert_serves(gate: Gate) -> None:
    """Another client gets its mail through."""
    before = len(gate.downstream.messages)
    async with gate.client() as client:
        await client.greet()
        assert (await client.deliver("a@example.net", ["b@example.org"], BODY))[-1].startswith("250 ")
    assert len(gate.downstream.messages) == before + 1


async def say(client: Client, lines: list[str]) -> None:
    await client.reply()
    for line in lines:
        await client.ask(line)


def reset(client: Client) -> None:
    """Close with RST instead of FIN."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
