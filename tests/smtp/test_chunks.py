"""BDAT where it goes wrong: the client leaves, its chunk is dropped, nothing is left over."""

import asyncio

import pytest

from smtpgate.server.tls import ServerTls
from smtpgate.smtp.limits import DialogLimits
from tests.certificates import Certificate
from tests.fakes import FakeDownstream
from tests.harness import serving
from tests.loops import until
from tests.smtp.talking import ENVELOPE, assert_serves, reset, say

STAGES = {
    "before the chunk": [b"BDAT 100\r\n"],
    "in the chunk": [b"BDAT 100\r\nSubject: unfinished\r\n"],
    "in the last chunk": [b"BDAT 100 LAST\r\nSubject: unfinished\r\n"],
    "in a second chunk": [b"BDAT 6\r\nA: b\r\n", b"BDAT 100 LAST\r\nSubject: unfinished\r\n"],
}


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("stage", STAGES)
async def test_the_client_hangs_up(stage: str, how: str, tls: bool, certificate: Certificate) -> None:
    server_tls = ServerTls(certificate.settings())
    async with serving(tls="implicit" if tls else "none", server_tls=server_tls) as gate:
        async with gate.client(tls=certificate.client_context() if tls else None) as client:
            await say(client, ENVELOPE)
            for lines in STAGES[stage][:-1]:
                assert (await client.ask(lines)).startswith("250 ")
            await client.send(STAGES[stage][-1])
            if how == "rst":
                reset(client)
        [record] = await gate.settled()
        assert gate.downstream.messages == []
        assert record.outcome == "abandoned"
        assert gate.services.memory.held == 0


async def test_hanging_up_between_chunks_drops_the_message() -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await say(client, ENVELOPE)
            assert (await client.ask(b"BDAT 6\r\nA: b\r\n")).startswith("250 ")
            assert gate.services.memory.held > 0
        [record] = await gate.settled()
        assert (gate.downstream.messages, record.outcome, gate.services.memory.held) == ([], "abandoned", 0)
        await assert_serves(gate)


async def test_what_a_client_sent_ahead_is_not_done_when_it_is_gone() -> None:
    """It will try again all that it got no answer to."""
    answer = asyncio.Event()
    downstream = FakeDownstream(gate=answer)
    async with serving(downstream=downstream) as gate:
        async with gate.client() as client:
            await say(client, ENVELOPE)
            message = b"BDAT 6 LAST\r\nA: b\r\n"
            await client.send(message, *ENVELOPE[1:], message)
            await downstream.delivering.wait()
            (connection,) = gate.services.connections
            reset(client)
            await until(lambda: connection.transport is None)
        answer.set()
        [record] = await gate.settled()
        assert (len(downstream.messages), record.outcome) == (1, "accepted")


async def test_replies_are_there_before_the_chunk() -> None:
    """A client may want to see whom the server takes before it sends what it announced."""
    async with serving() as gate, gate.client() as client:
        await client.greet()
        await client.send("MAIL FROM:<me@example.net>", "RCPT TO:<you@example.org>", "BDAT 6 LAST")
        assert (await client.reply()).startswith("250 2.1.0")
        assert (await client.reply()).startswith("250 2.1.5")
        assert (await client.ask(b"A: b\r\n")).startswith("250 2.0.0")


LARGE = [
    (400, "552 5.3.4", False),  # read and dropped
    (401, "552 5.3.4", True),  # too much even to be dropped
    (99999999999999999999, "552 5.3.4", True),
]


@pytest.mark.parametrize(("size", "reply", "ends"), LARGE)
@pytest.mark.parametrize("envelope", [[], ["MAIL FROM:<me@example.net>", "RCPT TO:<you@example.org>"]])
async def test_chunks_beyond_the_limit(size: int, reply: str, ends: bool, envelope: list[str]) -> None:
    async with serving(limits=DialogLimits(message_size=100)) as gate, gate.client() as client:
        await client.greet()
        for command in envelope:
            await client.ask(command)
        await client.send(b"BDAT %d\r\n" % size)
        if ends:
            assert (await client.reply()).startswith(reply)
            assert await client.reply() == ""
        else:
            assert (await client.ask(b"x" * size)).startswith(reply if envelope else "503 5.5.1")
            assert (await client.ask("NOOP")).startswith("250 ")
        await gate.settled() if ends else None
        assert gate.services.memory.held == 0


async def test_a_message_of_very_many_chunks_is_held_once() -> None:
    """What is counted is the content, however small its pieces."""
    async with serving() as gate, gate.client() as client:
        await say(client, ENVELOPE)
        for _ in range(20):
            await client.send(b"BDAT 1\r\nx" * 100)
            for _ in range(100):
                assert (await client.reply()).startswith("250 2.0.0")
        assert 0 < gate.services.memory.held <= 2**16
        assert (await client.ask("BDAT 0 LAST")).startswith("250 2.0.0")
        assert gate.downstream.messages[0].content.endswith(b"\r\n" + b"x" * 2000 + b"\r\n")
        assert gate.services.memory.held == 0
