"""SMTP smuggling: whatever comes in, what reaches the downstream is one message or none, and strict."""

import pytest

from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url
from smtpgate.smtp.content import LinePolicy
from tests.harness import Client, Gate, serving
from tests.relay.scripted import offering, scripted
from tests.smtp.test_data import SMUGGLED

# What some server somewhere takes for the end of a message, and what would follow it.
INNER = b"MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<you@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
HEADS = [b"Subject: x\r\n\r\ntext", b"Subject: x\r\n\r\ntext\r\n", b"Subject: x", b""]
OFFERS = {"DATA": offering("PIPELINING", "8BITMIME"), "BDAT": offering("PIPELINING", "8BITMIME", "CHUNKING")}


async def by_data(client: Client, content: bytes) -> str:
    """As an attacker has his provider send it: dots behind CRLF are stuffed, what else there is passes."""
    assert (await client.ask("DATA")).startswith("354")
    return await client.ask((b"\r\n" + content + b"\r\n").replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")


async def by_data_unstuffed(client: Client, content: bytes) -> str:
    """Stuffed by nobody, unless it would be the end here."""
    assert (await client.ask("DATA")).startswith("354")
    return await client.ask(content.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b"\r\n.\r\n")


async def by_bdat(client: Client, content: bytes) -> str:
    return await client.ask(b"BDAT %d LAST\r\n" % len(content) + content)


async def by_bdat_in_pieces(client: Client, content: bytes) -> str:
    """Every octet a chunk of its own."""
    for at in range(len(content)):
        reply = await client.ask(b"BDAT 1\r\n" + content[at : at + 1])
        if not reply.startswith("250"):
            return reply
    return await client.ask(b"BDAT 0 LAST\r\n")


@pytest.mark.parametrize("bare_newline", ["reject", "normalize"])
@pytest.mark.parametrize("way_out", OFFERS)
@pytest.mark.parametrize("way_in", [by_data, by_data_unstuffed, by_bdat, by_bdat_in_pieces])
async def test_what_reaches_the_downstream(way_in, way_out, bare_newline):
    async with scripted({"EHLO": OFFERS[way_out], "BDAT": b"250 2.0.0 Taken\r\n"}) as server:
        downstream = SmtpDownstream(parse_url(server.url), hostname="mx.example.org", limits=PoolLimits())
        async with serving(downstream=downstream, lines=LinePolicy(bare_newline)) as gate:
            for end in SMUGGLED:
                for head in HEADS:
                    await one_message_or_none(gate, server, way_in, head + end + INNER, bare_newline)
        await downstream.close()
    assert {line for line in server.commands if b"evil" in line} == set()
    verbs = set(server.verbs())
    assert verbs <= {"EHLO", "MAIL", "RCPT", way_out, "RSET", "QUIT"}


async def one_message_or_none(gate: Gate, server, way_in, content: bytes, bare_newline: str) -> None:
    before = len(server.contents)
    async with gate.client() as client:
        await client.greet()
        await client.ask("MAIL FROM:<me@example.net>")
        await client.ask("RCPT TO:<you@example.org>")
        reply = await way_in(client, content)
        # Nothing of it was taken for a command here.
        assert (await client.ask("RCPT TO:<you@example.org>")).startswith("503 5.5.1 Error: need MAIL")
        assert (await client.ask("QUIT")).startswith("221")
    stray = content.replace(b"\r\n", b"")
    refused = b"\0" in stray or (bare_newline == "reject" and bool(set(stray) & set(b"\r\n")))
    assert reply.startswith("550 5.5.2" if refused else "250 2.0.0"), (content, reply)
    arrived = server.contents[before:]
    assert len(arrived) == (not refused)
    for message in arrived:
        assert not set(message.replace(b"\r\n", b"")) & set(b"\r\n\0")
        assert b"Subject: smuggled" in message
        if "BDAT" not in server.verbs():
            assert b"\r\n.\r\n" not in message
