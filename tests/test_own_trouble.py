"""Our own trouble is told clearly, and not too often."""

import errno
import os
import sqlite3

import pytest

from smtpgate.trouble import Failing, Trouble


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "spool/x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (full(), "/spool: No space left on device: make room there (`df -h` and `df -i` tell)"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "/spool: Read-only file system: `dmesg` may tell why"),
        (OSError(errno.ENOSPC, "it is full: see its size"), "/spool: it is full: see its size"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "/spool: Input/output error"),
        (sqlite3.OperationalError("disk I/O error"), "/spool: disk I/O error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_says_what_is_wrong_and_what_to_do(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble("mail waits", "/spool")
    trouble.happened(error)
    assert caplog.messages == [f"mail waits: {said}"]


def test_who_says_himself_what_it_is_about_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    Trouble("mail waits").happened(full())
    assert caplog.messages == ["mail waits: No space left on device: 'spool/x'"]


def test_it_is_told_once_a_minute_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    trouble = Trouble("mail waits", clock=clock)

    def told() -> int:
        count = len(caplog.messages)
        caplog.clear()
        return count

    trouble.passed()
    assert told() == 0
    for seconds, lines in ((0, 1), (59, 0), (1, 1)):
        clock.now += seconds
        trouble.happened(full())
        assert told() == lines
    trouble.passed()
    assert caplog.messages == ["no more trouble: mail waits"]
    assert told() == 1
    # Now there is room and now there is not: that is no news each time.
    trouble.happened(full())
    trouble.passed()
    assert told() == 0
    clock.now += 60
    trouble.happened(full())
    assert told() == 1


def test_the_status_knows_since_when() -> None:
    clock = Clock()
    trouble = Trouble("mail waits", "/spool", clock)
    assert trouble.failing() is None
    trouble.happened(OSError(errno.EIO, "broken"))
    clock.now += 5
    assert trouble.failing() == Failing("mail waits", "/spool: broken", 5.0)
    trouble.passed()
    assert trouble.failing() is None
