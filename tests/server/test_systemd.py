"""What systemd hears from us."""

import os
import socket
from pathlib import Path

import pytest

from smtpgate.server.systemd import Notifier, watchdog_interval


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_assignments_are_one_datagram(abstract: bool, tmp_path: Path) -> None:
    address = f"@smtpgate-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(10)
        Notifier(address).tell("READY=1", "STATUS=2 workers")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=2 workers"


def test_without_systemd_nothing_is_said() -> None:
    Notifier("").tell("READY=1")


def test_a_systemd_that_is_gone_is_no_reason_to_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(str(tmp_path / "gone")).tell("READY=1")
    assert caplog.messages == ["systemd cannot be told READY=1: No such file or directory"]


def test_a_systemd_that_does_not_listen_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notifier = Notifier(str(tmp_path / "notify"))
        while not caplog.messages:
            notifier.tell("WATCHDOG=1")
    assert caplog.messages == ["systemd cannot be told WATCHDOG=1: Resource temporarily unavailable"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_wants_to_hear_of_us_twice_in_its_time(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environ) == seconds
