"""Clients that go away, say nothing or do not read: nothing is lost, nobody waits for ever."""

import asyncio
import socket

import pytest

from smtpgate.smtp.limits import DialogLimits
from tests.fakes import FakeDownstream
from tests.harness import Client, serving
from tests.loops import let_pass, until
from tests.smtp.talking import BODY, ENVELOPE, GREETING, assert_serves, reset, say

HANGUPS: dict[str, list[str | bytes]] = {
    "before the banner": [],
    "after EHLO": [*GREETING],
    "after MAIL": [*ENVELOPE[:2]],
    "after RCPT": [*ENVELOPE],
    "after DATA": [*ENVELOPE, "DATA"],
}


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("after", HANGUPS)
async def test_the_client_hangs_up(after: str, how: str) -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await say(client, [str(line) for line in HANGUPS[after]])
            if after == "after DATA":
                await client.send(b"Subject: unfinished\r\n\r\nnever e")
            if how == "rst":
                reset(client)
        records = await gate.settled()
        assert gate.downstream.messages == []
        assert [record.outcome for record in records] == (["abandoned"] if "MAIL" in str(HANGUPS[after]) else [])
        assert gate.services.memory.held == 0
        await assert_serves(gate)


@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
async def test_the_client_hangs_up_after_the_final_dot(how: str) -> None:
    """From the hand-over on nothing cancels it: it arrives once, and the record says so."""
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    async with serving(downstream=downstream) as gate:
        async with gate.client() as client:
            await say(client, [*ENVELOPE, "DATA"])
            await client.send(BODY + b".\r\n")
            await downstream.delivering.wait()
            if how == "half-close":
                client.writer.write_eof()
                gate_open.set()
                assert (await client.reply()).startswith("250 2.0.0")
                assert await client.reply() == ""
            elif how == "rst":
                reset(client)
        gate_open.set()
        records = await gate.settled()
        assert len(downstream.messages) == 1
        assert [record.outcome for record in records] == ["accepted"]
        assert gate.services.memory.held == 0


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with serving() as gate, gate.client() as client:
        await client.reply()
        await let_pass(DialogLimits().command_timeout)
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        [record] = await gate.settled()
        assert record.outcome == "deferred"


async def test_slow_data_is_cut_with_a_reply() -> None:
    async with serving() as gate, gate.client() as client:
        await say(client, [*ENVELOPE, "DATA"])
        await client.send(b"Subject: slow")
        await until(lambda: gate.services.memory.held)
        await let_pass(DialogLimits().command_timeout)
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        await gate.settled()
        assert gate.downstream.messages == []


async def test_a_slow_downstream_is_no_idle_client() -> None:
    """The time-out is for the client: a handler may take longer."""
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    async with serving(downstream=downstream) as gate, gate.client() as client:
        await say(client, [*ENVELOPE, "DATA"])
        await client.send(BODY + b".\r\n")
        await downstream.delivering.wait()
        for _ in range(3):
            await let_pass(DialogLimits().command_timeout)
        gate_open.set()
        assert (await client.reply()).startswith("250 2.0.0")


async def test_a_client_that_never_reads_is_ended() -> None:
    """Its replies pile up within the socket's bounds only, then the time-out ends it."""
    async with serving(limits=DialogLimits(junk_command_limit=10**9)) as gate:
        async with gate.client() as client:
            await client.reply()
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            (connection,) = gate.services.connections
            # The kernel takes megabytes otherwise.
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            talking = asyncio.create_task(_talk_for_ever(client))
            while not talking.done():
                await until(lambda: connection.is_slow_reader or talking.done())
                await let_pass(DialogLimits().command_timeout)
            with pytest.raises(ConnectionError):
                await talking
        await gate.settled()
        await assert_serves(gate)


async def _talk_for_ever(client: Client) -> None:
    while True:
        client.writer.write(b"NOOP\r\n" * 5000)
        await client.writer.drain()
