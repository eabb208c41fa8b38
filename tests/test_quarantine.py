"""Held messages on the disk."""

from pathlib import Path

import pytest

from smtpgate.quarantine import Quarantine, QuarantineError

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
    assert list((tmp_path / "held").iterdir()) == []


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
