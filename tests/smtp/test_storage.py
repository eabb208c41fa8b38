"""Wherever a message is kept, the same comes out; without room nothing of it is left."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.content import Content
from smtpgate.smtp import storage as storage_module
from smtpgate.smtp.limits import MessageMemory
from smtpgate.smtp.storage import Storage
from smtpgate.spool import Spool, SpoolFile
from tests.spooling import open_files

PIECES = st.lists(st.sampled_from([b"\r\n", b"A: b\r\n", b"\r", b"\n", b"xyz", b"." * 50]), max_size=30)
LARGE = b"Subject: x\r\n\r\n" + b"y" * 1000


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spool]:
    spool = Spool(str(tmp_path_factory.mktemp("spool")))
    yield spool
    spool.close()


async def kept(storage: Storage, pieces: list[bytes]) -> Content | None:
    """What the dialog does with what comes."""
    for piece in pieces:
        storage.append(piece)
        if storage.is_behind:
            await storage.flush()
    return await storage.finish()


@given(PIECES, st.integers(0, 200), st.integers(0, 60), st.integers(1, 7))
@example([b"\r\n"], 0, 0, 1)
@example([b"A: b\r\n", b"\r\n"], 0, 0, 1)
def test_what_was_put_in_comes_out(spool: Spool, pieces: list[bytes], per_message: int, batch: int, cut: int) -> None:
    memory = MessageMemory(10**6, per_message)
    data = b"".join(pieces)
    for put in (pieces, [data], [data[at : at + cut] for at in range(0, len(data), cut)]):
        storage = Storage(memory, spool)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(storage_module, "_BATCH", batch)
            content = asyncio.run(kept(storage, put))
        assert content is not None
        assert b"".join(content) == data
        assert content.size == len(data)
        assert content.head == Content.of(data).head
        pieces = iter(content)
        first = bytes(next(pieces))
        storage.close()
        assert first + b"".join(pieces) == data  # who still reads it may go on
        assert memory.held == 0
        assert content.size == len(content.head)


@pytest.mark.parametrize(("per_message", "in_file"), [(len(LARGE) - 1, True), (len(LARGE), False)])
def test_the_bound_of_one_message(tmp_path: Path, per_message: int, in_file: bool) -> None:
    memory = MessageMemory(10**6, per_message)
    storage = Storage(memory, Spool(str(tmp_path)))
    content = asyncio.run(kept(storage, [LARGE]))
    assert content is not None
    assert isinstance(content.body, SpoolFile) is in_file
    assert memory.held == (len(content.head) if in_file else len(LARGE))


def test_when_memory_runs_short_smaller_messages_go_to_files() -> None:
    memory = MessageMemory(limit=400, per_message=80)
    for held, allowance in ((0, 80), (20, 80), (21, 79), (99, 1), (100, 0), (300, 0)):
        memory.held = held
        assert memory.allowance == allowance


def test_no_memory_at_all(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    memory = MessageMemory(limit=100, per_message=100)
    storage, other = Storage(memory, spool), Storage(memory, spool)
    storage.append(b"x" * 90)
    other.append(b"y" * 20)
    assert other.has_failed
    assert asyncio.run(other.finish()) is None
    assert "no memory is left" in caplog.text
    assert memory.held == 90
    storage.close()
    storage.close()
    other.close()
    assert memory.held == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize(("call", "after"), [("open", 0), ("pwrite", 0), ("pwrite", 1)])
def test_no_room_on_the_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    call: str,
    after: int,
) -> None:
    real, calls = getattr(os, call), []

    def failing(*args: object) -> object:
        calls.append(args)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return real(*args)

    memory = MessageMemory(10**6, 100)
    spool = Spool(str(tmp_path))
    monkeypatch.setattr(storage_module, "_BATCH", 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        storage = Storage(memory, spool)
        assert asyncio.run(kept(storage, [LARGE, b"more\r\n" * 50])) is None
    assert storage.has_failed
    assert os.strerror(number) in caplog.text
    assert memory.held == 0
    # The next one is kept again.
    next_one = Storage(memory, spool)
    assert asyncio.run(kept(next_one, [LARGE])) is not None
    spool.close()  # its threads let go of what they had
    assert len(open_files(tmp_path)) == 1
    next_one.close()
    assert open_files(tmp_path) == []


def test_a_writer_that_was_given_up_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays open until its thread is done with it: nobody else's descriptor is written to."""
    spool = Spool(str(tmp_path))
    memory = MessageMemory(10**6, 100)
    real, seen = SpoolFile.append, []

    async def run() -> None:
        writing, go_on = asyncio.Event(), storage_module.asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(file: SpoolFile, piece: bytes) -> None:
            loop.call_soon_threadsafe(writing.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
            seen.append(open_files(tmp_path))
            real(file, piece)

        monkeypatch.setattr(SpoolFile, "append", slow)
        storage = Storage(memory, spool)
        storage.append(LARGE)
        flushing = asyncio.create_task(storage.flush())
        await writing.wait()
        flushing.cancel()
        await asyncio.wait([flushing])
        assert flushing.cancelled()
        storage.close()
        go_on.set()
        await loop.run_in_executor(None, spool.close)

    asyncio.run(run())
    assert len(seen[0]) == 1
    assert memory.held == 0
    assert open_files(tmp_path) == []
