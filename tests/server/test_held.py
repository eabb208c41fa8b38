"""Held messages that nobody looks at."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from smtpgate.quarantine import Quarantine
from smtpgate.server.held import HeldMessages
from smtpgate.server.wall_clock import DAY, Look, WallClock
from tests.fakes import Clock


async def test_they_are_deleted_when_their_time_is_over_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine = Quarantine(str(tmp_path))
    for name, at in (("1-A", 100), ("2-B", 500)):
        quarantine.keep(name, {}, [b""])
        os.utime(tmp_path / f"{name}.held", (at, at))
    held = HeldMessages(quarantine, 600.0, WallClock())
    await held.delete(Look(1000.0, False, 3600.0))
    assert quarantine.names() == ["2-B"]
    assert "1 held messages are deleted" in caplog.text
    assert "quarantine_keep: 1-A" in caplog.text
    await held.delete(Look(1101.0, False, 3600.0))
    assert quarantine.names() == []


@pytest.mark.parametrize(
    ("at", "look", "kept_from"),
    [
        (100.0, Look(1e9, True, 0.0), 1e9),  # set forward, perhaps by mistake; or held while it was far behind
        (2e9, Look(1e9, True, 0.0), 1e9),  # set back: not held for ever
        (1e9 - 600, Look(1e9, True, 0.0), 1e9 - 600),
        (2e9, Look(1e9, False, DAY + 1), 1e9),  # set back while nobody was there
        (2e9, Look(1e9, False, DAY), 2e9),  # it might be the clock that is wrong
    ],
)
async def test_a_clock_that_was_set_deletes_nothing(at: float, look: Look, kept_from: float, tmp_path: Path) -> None:
    quarantine = Quarantine(str(tmp_path))
    quarantine.keep("1-A", {}, [b""])
    os.utime(tmp_path / "1-A.held", (at, at))
    await HeldMessages(quarantine, 600.0, WallClock()).delete(look)
    assert (tmp_path / "1-A.held").stat().st_mtime == kept_from


async def test_trouble_is_told_and_does_not_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    asked = asyncio.Event()

    class Clocked(Clock):
        def __call__(self) -> float:
            if self.now == 3.0:  # asked at the start, for the first look, and again
                asked.set()
            self.now += 1.0
            return self.now

    with caplog.at_level(logging.WARNING):
        clock = WallClock(Clocked(0.0), Clock(), soon=0.0)
        held = HeldMessages(Quarantine(str(tmp_path / "file")), 1.0, clock, every=0.0)
        watching = asyncio.create_task(held.watch())
        async with asyncio.timeout(10):
            await asked.wait()
        watching.cancel()
    assert "cannot be deleted now" in caplog.text
