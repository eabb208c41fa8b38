"""Held messages that nobody looks at."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from smtpgate.quarantine import Quarantine
from smtpgate.server.held import HeldMessages
from tests.fakes import Clock


async def test_they_are_deleted_when_their_time_is_over_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine, clock = Quarantine(str(tmp_path)), Clock(1000.0)
    for name, at in (("1-A", 100), ("2-B", 500)):
        quarantine.keep(name, {}, [b""])
        os.utime(tmp_path / f"{name}.held", (at, at))
    held = HeldMessages(quarantine, 600.0, clock)
    await held.delete()
    assert quarantine.names() == ["2-B"]
    assert "1 held messages are deleted" in caplog.text
    assert "quarantine_keep: 1-A" in caplog.text
    clock.advance(101)
    await held.delete()
    assert quarantine.names() == []


async def test_trouble_is_told_and_does_not_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    asked = asyncio.Event()

    class Clocked(Clock):
        def __call__(self) -> float:
            if self.now == 1.0:
                asked.set()
            self.now += 1.0
            return self.now

    with caplog.at_level(logging.WARNING):
        held = HeldMessages(Quarantine(str(tmp_path / "file")), 1.0, Clocked(0.0), every=0.0)
        watching = asyncio.create_task(held.watch())
        async with asyncio.timeout(10):
            await asked.wait()
        watching.cancel()
    assert "cannot be deleted now" in caplog.text
