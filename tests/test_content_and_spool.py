"""Content is the same wherever it is kept; its file is gone with the last reference to it."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate import content as content_module
from smtpgate.content import LARGEST_HEADER, MOST_HEAD, Content, head_length
from smtpgate.mailauth.message import Message
from smtpgate.spool import Spool, SpoolFile
from tests.spooling import open_files

LINES = st.lists(st.sampled_from([b"", b"x", b"A: b", b" folded", b"\r", b"\n"]), max_size=8).map(b"\r\n".join)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spool]:
    spool = Spool(str(tmp_path_factory.mktemp("var") / "spool"))
    yield spool
    spool.close()


def spooled(spool: Spool, data: bytes) -> Content:
    """Content with its body in a file."""
    in_memory = Content.of(data)
    file = spool.open()
    file.append(in_memory.body)
    return Content(in_memory.head, file)


async def read(content: Content) -> bytes:
    return b"".join([bytes(piece) async for piece in content])


@given(LINES, st.integers(1, 5))
@example(b"", 1)
@example(b"\r\n", 1)
@example(b"\r\n\r\n", 1)
@example(b"A: b\r\n\r\n", 1)
def test_it_is_the_same_in_memory_and_in_a_file(spool: Spool, data: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_module, "_READ", piece)
        for content in (Content.of(data), Content.of(bytearray(data)), spooled(spool, data)):
            assert content.size == len(data)
            assert b"".join(content) == data
            assert asyncio.run(read(content)) == data
            message = Message(content)
            assert message.header == Message(data).header
            assert message.fields == Message(data).fields
            assert b"".join(content.with_head(b"")) == bytes(Message(data).body)


@given(LINES)
def test_the_header_ends_at_the_first_empty_line(data: bytes) -> None:
    header, empty, body = (b"\r\n" + data).partition(b"\r\n\r\n")
    message = Message(data)
    assert message.header == (header + b"\r\n" if empty else header)[2:]
    assert bytes(message.body) == body


@pytest.mark.parametrize("longer", range(-3, 4))
def test_a_header_that_is_too_large_is_told_from_its_beginning(longer: int) -> None:
    header = b"A: " + b"b" * (LARGEST_HEADER + longer - 5) + b"\r\n"
    assert len(header) == LARGEST_HEADER + longer
    for behind in (b"", b"\r\n", b"\r\nbody\r\n"):
        content = Content.of(header + behind)
        assert Message(content).header_too_large is (longer > 0)
        assert len(content.head) <= MOST_HEAD
        assert b"".join(content) == header + behind


@given(LINES, st.integers(0, 40))
def test_the_head_ends_at_the_same_place_however_much_is_there(data: bytes, cut: int) -> None:
    so_far = head_length(data[:cut])
    assert so_far is None or so_far == head_length(data)


def test_files_have_no_names_and_go_with_their_last_reference(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "var" / "spool"))
    file: SpoolFile | None = spool.open()
    assert file is not None
    file.append(b"secret")
    directory = tmp_path / "var" / "spool"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert os.listdir(directory) == []
    assert len(open_files(directory)) == 1
    content: Content | None = Content(b"", file)
    file = None
    assert content is not None
    pieces = iter(content)
    assert next(pieces) == b""
    content = None
    assert len(open_files(directory)) == 1  # who still reads may go on
    assert next(pieces) == b"secret"
    del pieces
    assert open_files(directory) == []


def test_a_file_system_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    asked = []

    def without(path: Path, flags: int, *mode: int) -> int:
        asked.append(flags & os.O_TMPFILE == os.O_TMPFILE)
        if asked[-1]:
            raise OSError(errno.EOPNOTSUPP, "no")
        assert flags & os.O_EXCL
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", without)
    spool = Spool(str(tmp_path))
    file = spool.open()
    file.append(b"x")
    assert asked == [True, False]
    assert os.listdir(tmp_path) == []
    assert file.read(0, 9) == b"x"
    [name] = open_files(tmp_path)
    assert os.fstat(file._descriptor).st_mode & 0o777 == 0o600
    # Had we been killed between open and unlink, the next start would take it out, and nothing else.
    for left in (Path(name.removesuffix(" (deleted)")), tmp_path / "not ours.spool"):
        left.write_bytes(b"")
    spool.prepare()
    assert os.listdir(tmp_path) == ["not ours.spool"]


def test_a_directory_that_went_away_is_made_again(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    spool.prepare()
    (tmp_path / "spool").rmdir()
    spool.open().append(b"x")
    assert (tmp_path / "spool").is_dir()


def test_short_writes_and_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, pread = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data[:3]), at))
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 2), at))
    file = Spool(str(tmp_path)).open()
    file.append(b"0123456789")
    file.append(bytearray(b"abc"))
    assert len(file) == 13
    assert file.read(0, 100) == file[:] == b"0123456789abc"
    assert file[4:11] == b"456789a"


def test_a_file_that_lost_something_is_not_taken_for_whole(tmp_path: Path) -> None:
    file = Spool(str(tmp_path)).open()
    file.append(b"0123456789")
    os.ftruncate(file._descriptor, 5)
    with pytest.raises(OSError, match="shorter"):
        file.read(0, 10)
