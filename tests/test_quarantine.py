"""Held messages on the disk."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from smtpgate.quarantine import Quarantine, QuarantineError
from tests.fakes import Clock

ENVELOPE = {"sender": "a@example.net", "recipients": [["b@example.org", None, None]]}


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(str(tmp_path / "held"))


def test_what_is_kept_is_there_byte_for_byte(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.keep("1-A", ENVELOPE, [b"Subject: x\r\n\r\n", memoryview(b"\xff\x00\r\n")])
    assert quarantine.names() == ["1-A"]
    with quarantine.taken("1-A") as (envelope, file):
        assert (envelope, file.read()) == (ENVELOPE, b"Subject: x\r\n\r\n\xff\x00\r\n")
    assert (tmp_path / "held").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "held" / "1-A.held").stat().st_mode & 0o777 == 0o600


def test_what_breaks_off_leaves_nothing(quarantine: Quarantine, tmp_path: Path) -> None:
    def pieces():
        yield b"half"
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        quarantine.keep("1-A", ENVELOPE, pieces())
    assert quarantine.used() == 0
    assert not list((tmp_path / "held").glob("1-A*"))


def test_one_at_a_time(quarantine: Quarantine) -> None:
    quarantine.keep("1-A", ENVELOPE, [b""])
    with quarantine.taken("1-A"), pytest.raises(QuarantineError, match="in hand"), quarantine.taken("1-A"):
        pass
    with quarantine.taken("1-A"):
        quarantine.delete("1-A")
    with pytest.raises(QuarantineError, match="no message"), quarantine.taken("1-A"):
        pass


@pytest.mark.parametrize("name", ["../x", "", "a/b", "x\0", "missing"])
def test_names_that_are_none(quarantine: Quarantine, name: str) -> None:
    with pytest.raises(QuarantineError):
        quarantine.delete(name)
    with pytest.raises(QuarantineError), quarantine.taken(name):
        pass


def test_oldest_first_and_nothing_else(quarantine: Quarantine, tmp_path: Path) -> None:
    assert quarantine.names() == []
    for name in ("2-B", "1-A"):
        quarantine.keep(name, ENVELOPE, [b""])
    (tmp_path / "held" / "3-C.partial").touch()
    assert quarantine.names() == ["1-A", "2-B"]


def test_a_full_quarantine_takes_no_more_until_there_is_room(tmp_path: Path) -> None:
    clock = Clock()
    quarantine = Quarantine(str(tmp_path), 3 * 4096, clock)
    quarantine.keep("1-A", ENVELOPE, [b"x"])  # a small file takes a block of the disk
    quarantine.keep("2-B", ENVELOPE, [b"x" * 4096])
    assert quarantine.used() == 3 * 4096
    with pytest.raises(OSError, match="quarantine_size") as full:
        quarantine.keep("3-C", ENVELOPE, [b"x"])
    assert full.value.errno == errno.ENOSPC
    assert quarantine.names() == ["1-A", "2-B"]
    quarantine.keep("1-A", ENVELOPE, [b"y"])  # in place of one that is there
    quarantine.delete("2-B")
    clock.advance(10)
    quarantine.keep("3-C", ENVELOPE, [b"x"])
    assert quarantine.names() == ["1-A", "3-C"]


def test_all_processes_know_of_one_another(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Quarantine(str(tmp_path), 3 * 4096, clock) for _ in range(2))
    one.keep("1-A", ENVELOPE, [b"x"])
    other.keep("2-B", ENVELOPE, [b"x"])
    one.keep("3-C", ENVELOPE, [b"x"])
    with pytest.raises(OSError, match="quarantine_size"):
        other.keep("4-D", ENVELOPE, [b"x"])


@pytest.mark.parametrize("count", [b"", b"garbage", struct.pack("dQ", 1e9, 0), struct.pack("dQ", float("nan"), 0)])
def test_a_count_of_another_time_is_not_believed(count: bytes, tmp_path: Path) -> None:
    quarantine = Quarantine(str(tmp_path), 4096, Clock())
    quarantine.keep("1-A", ENVELOPE, [b"x"])
    (tmp_path / "count").write_bytes(count)
    with pytest.raises(OSError, match="quarantine_size"):
        quarantine.keep("2-B", ENVELOPE, [b"x"])


def test_what_a_crash_has_left_is_removed_and_what_is_being_written_is_not(
    quarantine: Quarantine, tmp_path: Path
) -> None:
    quarantine.prepare()  # there is no directory yet
    quarantine.keep("1-A", ENVELOPE, [b""])
    left = tmp_path / "held" / "2-B.partial"
    left.write_bytes(b"half")

    def pieces():
        yield b"first"
        Quarantine(str(tmp_path / "held")).prepare()  # another worker starts
        yield b"second"

    quarantine.keep("3-C", ENVELOPE, pieces())
    assert not left.exists()
    assert quarantine.names() == ["1-A", "3-C"]
    with quarantine.taken("3-C") as (_, file):
        assert file.read() == b"firstsecond"


def test_the_old_are_deleted_unless_somebody_has_them_in_hand(quarantine: Quarantine, tmp_path: Path) -> None:
    assert quarantine.delete_before(1000.0) == []
    for name, at in (("1-A", 900), ("2-B", 999), ("3-C", 1000), ("4-D", 1)):
        quarantine.keep(name, ENVELOPE, [b""])
        os.utime(tmp_path / "held" / f"{name}.held", (at, at))
    with quarantine.taken("4-D"):
        assert quarantine.delete_before(1000.0) == ["1-A", "2-B"]
    assert quarantine.names() == ["3-C", "4-D"]
    with (tmp_path / "held" / "4-D.held").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # nobody's lock is left


def test_directories_that_were_made_for_it_survive_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    Quarantine(str(tmp_path / "var" / "held")).keep("1-A", ENVELOPE, [b""])
    assert {path.stat().st_ino for path in (tmp_path, tmp_path / "var", tmp_path / "var" / "held")} <= {*synced}


def test_what_goes_wrong_with_a_message_in_hand_is_not_the_quarantines_fault(quarantine: Quarantine) -> None:
    quarantine.keep("1-A", ENVELOPE, [b""])
    with pytest.raises(OSError, match="elsewhere"), quarantine.taken("1-A"):
        raise OSError("elsewhere")
