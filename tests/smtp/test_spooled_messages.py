"""Messages that are too large for the memory, through the whole dialog."""

import asyncio
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpgate.smtp.limits import DialogLimits
from smtpgate.spool import Spool, SpoolFile
from tests.fakes import FakeDns, FakeDownstream
from tests.harness import Client, serving
from tests.mailauth.signing import KEY_NAME, record, rsa_key, signed_by_dkimpy
from tests.spooling import open_files

LIMITS = DialogLimits(memory_per_message=10_000)
BODY = b"".join(b"%d .line\r\n" % number for number in range(100_000))
LARGE = b"Subject: hello\r\n\r\n" + BODY
SMALL = b"Subject: hello\r\n\r\nIt works.\r\n"
ENVELOPE = ["MAIL FROM:<me@example.net>", "RCPT TO:<you@example.org>"]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(str(tmp_path))
    yield spool
    spool.close()


async def begin(client: Client) -> None:
    await client.greet()
    for command in ENVELOPE:
        assert (await client.ask(command)).startswith("250 ")


async def by_data(client: Client, content: bytes) -> str:
    assert (await client.ask("DATA")).startswith("354")
    return await client.ask(content + b".\r\n")


async def by_bdat(client: Client, content: bytes) -> str:
    for start in range(0, len(content), 300_000):
        chunk = content[start : start + 300_000]
        assert (await client.ask(b"BDAT %d\r\n" % len(chunk) + chunk)).startswith("250 ")
    return await client.ask("BDAT 0 LAST")


@pytest.mark.parametrize("send", [by_data, by_bdat])
async def test_it_goes_out_as_it_came_in(spool: Spool, tmp_path: Path, send) -> None:
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    async with serving(limits=LIMITS, spool=spool, downstream=downstream) as gate, gate.client() as client:
        await begin(client)
        sending = asyncio.create_task(send(client, LARGE))
        await downstream.delivering.wait()
        assert len(open_files(tmp_path)) == 1
        assert gate.services.memory.held == len(b"Subject: hello\r\n\r\n")
        gate_open.set()
        assert (await sending).startswith("250 2.0.0 ")
        await client.close()
        [sent] = await gate.settled()
        assert sent.size == len(LARGE)
        assert downstream.messages[0].content.endswith(b"\r\n" + LARGE)
        assert gate.services.memory.held == 0
        await asyncio.to_thread(spool.close)  # its threads let go of what they had
        assert open_files(tmp_path) == []


async def test_a_small_one_needs_no_file(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "open", None)
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client:
        await begin(client)
        assert (await by_data(client, SMALL)).startswith("250 2.0.0 ")


async def test_a_signature_of_a_spooled_body(spool: Spool) -> None:
    config = '[phases]\nrcpt = ["reject_unauth_destination"]\nend_of_data = ["check_dkim"]\n'
    dns = FakeDns(TXT={KEY_NAME: [record(rsa_key())]})
    content = signed_by_dkimpy(b"From: ann@example.org\r\n" + LARGE)
    for sent, result in ((content, b"dkim=pass"), (content[:-3] + b"!\r\n", b"dkim=fail")):
        async with serving(config, limits=LIMITS, spool=spool, dns=dns) as gate, gate.client() as client:
            await begin(client)
            assert (await by_data(client, sent)).startswith("250 2.0.0 ")
            assert result in gate.downstream.messages[0].content[:1000]


async def test_a_file_that_cannot_be_read_is_not_the_signers_fault(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (
        '[phases]\nrcpt = ["reject_unauth_destination"]\n'
        'end_of_data = [{ rule = "check_dkim", permerror = "reject", fail = "reject", temperror = "defer" }]\n'
    )
    dns = FakeDns(TXT={KEY_NAME: [record(rsa_key())]})
    async with serving(config, limits=LIMITS, spool=spool, dns=dns) as gate, gate.client() as client:
        await begin(client)
        monkeypatch.setattr(os, "pread", failing(errno.EIO))
        assert (await by_data(client, signed_by_dkimpy(b"From: ann@example.org\r\n" + LARGE))).startswith("451 4.4.3 ")
        assert gate.downstream.messages == []


async def test_forged_results_above_a_spooled_body(spool: Spool) -> None:
    forged = b"Authentication-Results: mx.example.org; spf=pass\r\n"
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client:
        await begin(client)
        await by_data(client, forged + LARGE)
        content = gate.downstream.messages[0].content
        assert forged not in content
        assert content.endswith(b"\r\n" + LARGE)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_the_client_leaves_in_the_middle(
    spool: Spool, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = SpoolFile.append, asyncio.Event()
    loop = asyncio.get_running_loop()

    def noted(file: SpoolFile, piece: bytes) -> None:
        real(file, piece)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(SpoolFile, "append", noted)
    async with serving(limits=LIMITS, spool=spool) as gate:
        async with gate.client() as client:
            await begin(client)
            await client.ask("DATA")
            await client.send(LARGE)
            await written.wait()
            assert len(open_files(tmp_path)) == 1
            if how == "rst":
                reset(client)
        [abandoned] = await gate.settled()
        assert abandoned.outcome == "abandoned"
        assert gate.downstream.messages == []
        assert gate.services.memory.held == 0
        await asyncio.to_thread(spool.close)  # its threads let go of what they had
        assert open_files(tmp_path) == []


async def test_the_client_leaves_during_the_hand_over(spool: Spool, tmp_path: Path) -> None:
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    async with serving(limits=LIMITS, spool=spool, downstream=downstream) as gate:
        async with gate.client() as client:
            await begin(client)
            await client.ask("DATA")
            await client.send(LARGE + b".\r\n")
            await downstream.delivering.wait()
            reset(client)
        gate_open.set()
        [accepted] = await gate.settled()
        assert accepted.outcome == "accepted"
        assert downstream.messages[0].content.endswith(b"\r\n" + LARGE)
        assert gate.services.memory.held == 0
        await asyncio.to_thread(spool.close)  # its threads let go of what they had
        assert open_files(tmp_path) == []


@pytest.mark.parametrize("send", [by_data, by_bdat])
async def test_a_full_disk(spool: Spool, monkeypatch: pytest.MonkeyPatch, send) -> None:
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client, gate.client() as other:
        await begin(client)
        await begin(other)
        await client.send("RSET")
        await client.reply()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing(errno.ENOSPC))
            replies = [await client.ask(command) for command in [*ENVELOPE, "DATA"]]
            assert [reply[:3] for reply in replies] == ["250", "250", "354"]
            reply = await client.ask(LARGE + b".\r\n")
            assert reply.startswith("452 4.3.1 ")
            assert "space" not in reply  # that is for the log
            assert gate.services.memory.held == 0
            assert (await by_data(other, SMALL)).startswith("250 2.0.0 ")  # it needs no disk
        # There is room again, and nobody had to do anything.
        for command in ENVELOPE:
            await client.ask(command)
        assert (await send(client, LARGE)).startswith("250 2.0.0 ")
        await client.close()
        await other.close()
        assert [record.outcome for record in await gate.settled()][-3:] == ["deferred", "accepted", "accepted"]


async def test_a_full_disk_in_the_middle_of_bdat(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client:
        await begin(client)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing(errno.ENOSPC))
            assert (await client.ask(b"BDAT %d\r\n" % len(LARGE) + LARGE)).startswith("452 4.3.1 ")
        assert (await client.ask("BDAT 0 LAST")).startswith("503 ")
        assert gate.downstream.messages == []


async def test_a_file_that_cannot_be_read_at_the_hand_over(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client:
        await begin(client)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", failing(errno.EIO))
            assert (await by_data(client, LARGE)).startswith("451 4.3.0 ")
        assert gate.downstream.messages == []
        assert gate.services.memory.held == 0


async def test_a_slow_disk_slows_the_client_down(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the disk is bounded, and nobody else waits."""
    real, writing, go_on = SpoolFile.append, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(file: SpoolFile, piece: bytes) -> None:
        loop.call_soon_threadsafe(writing.set)
        go_on.wait(10)
        real(file, piece)

    monkeypatch.setattr(SpoolFile, "append", slow)
    async with serving(limits=LIMITS, spool=spool) as gate, gate.client() as client, gate.client() as other:
        await begin(client)
        sending = asyncio.create_task(by_data(client, LARGE * 10))
        await writing.wait()
        for _ in range(3):
            await begin(other)
            assert (await by_data(other, SMALL)).startswith("250 2.0.0 ")
            assert await other.ask("RSET") != ""
            other.reader.feed_data(b"220 again\r\n")
        assert gate.services.memory.held <= LIMITS.memory_per_message + 2 * 65536
        go_on.set()
        assert (await sending).startswith("250 2.0.0 ")
        assert gate.downstream.messages[-1].content.endswith(b"\r\n" + LARGE * 10)


def failing(number: int):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def reset(client: Client) -> None:
    """Close with RST instead of FIN."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()
