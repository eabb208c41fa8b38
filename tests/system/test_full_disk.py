"""Disks that are full, have no inodes left or can only be read: mail waits or goes on, and all heals by itself.

Each is a small file system of its own, in memory and in a name space of mounts that ends with the tests.
"""

import contextlib
import ctypes
import json
import os
import re
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smtpgate.store.lookup import by_address
from tests.system.gate import Gate, environment, smtpgate
from tests.system.messages import EIGHT_BIT
from tests.system.peers import in_maildir
from tests.system.program import PATIENCE, Program, missing

LARGE = EIGHT_BIT + b"and so on\r\n" * 400_000
_CLONE_NEWNS = 0x00020000

SPOOL, QUARANTINE = "large messages are put off", "messages that rules hold are put off"
STORE, LOG = "the store fails, and records wait in memory", "lines of the log are dropped"

CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 1
spool = "spool/files"
quarantine = "quarantine/held"
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "maildir:mail"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
mail = [{ rule = "check_sender_access", table = { "hold@example.com" = "HOLD" } }]
rcpt = ["reject_unauth_destination", { rule = "greylist", delay = "0s" }]
"""


class Disk:
    """A disk of a few megabytes and a few files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        _mount("-t", "tmpfs", "-o", "size=8m,nr_inodes=100", "none", path)

    def spoil(self, how: str) -> None:
        """Leave no "space", or no "inodes", or only let it be "read"."""
        if how == "read":
            _mount("-o", "remount,ro", self.path)
        elif how == "inodes":
            with contextlib.suppress(OSError):
                for number in range(100):
                    (self.path / f"filler{number}").touch()
        else:
            with contextlib.suppress(OSError), (self.path / "filler").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass

    def heal(self) -> None:
        """As it was."""
        _mount("-o", "remount,rw", self.path)
        for filler in self.path.glob("filler*"):
            filler.unlink()


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture(scope="module")
def own_mounts() -> None:
    """From now on nobody else sees what these tests mount; it ends with them, whatever becomes of them."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        missing(f"no disk can be mounted here: {os.strerror(ctypes.get_errno())}")
    _mount("--make-rprivate", "/")


@pytest.fixture
def disk(own_mounts: None, tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Make a disk in the directory of the first gate: disk(name)."""
    disks: list[Disk] = []

    def make(name: str) -> Disk:
        disks.append(Disk(tmp_path / "gate0" / name))
        return disks[-1]

    yield make
    for made in disks:
        subprocess.run(["umount", "--lazy", made.path], check=True)


def put_off(client: smtplib.SMTP, sender: str, content: bytes) -> bool:
    """Send a message; whether the client was told to come again, and nothing that is none of its business."""
    client.ehlo_or_helo_if_needed()
    client.mail(sender)
    assert client.rcpt("you@example.org")[0] == 250
    code, text = client.data(content)
    assert code == 250 or re.fullmatch(
        rb"4\.3\.1 Insufficient system storage(, please try again later)? \(ref \w+\)", text
    ), (code, text)
    return code == 452


def until_status_tells(gate: Gate, *wanted: str) -> None:
    """Wait until `smtpgate status` tells of this trouble, and of no other: workers report once a second."""
    deadline = time.monotonic() + PATIENCE
    while sorted(trouble["what"] for trouble in gate.status()["troubles"]) != sorted(wanted):
        assert time.monotonic() < deadline, (gate.status()["troubles"], gate.program.printed)
        assert gate.program.keeps_running(0.1)


@pytest.mark.parametrize("how", ["space", "inodes", "read"])
def test_the_spool_and_the_quarantine(how: str, serve: Callable[..., Gate], disk: Callable[[str], Disk]) -> None:
    disks = disk("spool"), disk("quarantine")
    gate = serve(config=CONFIG)
    with gate.client() as client:

        def are_put_off() -> list[bool]:
            large, held = put_off(client, "me@example.com", LARGE), put_off(client, "hold@example.com", EIGHT_BIT)
            # Neither this session nor other mail is disturbed.
            return [large, held, put_off(client, "me@example.com", EIGHT_BIT)]

        assert are_put_off() == [False, False, False]
        for each in disks:
            each.spoil(how)
        for _ in range(3):
            assert are_put_off() == [True, True, False]
        until_status_tells(gate, SPOOL, QUARANTINE)
        for each in disks:
            each.heal()
        assert are_put_off() == [False, False, False]
        until_status_tells(gate)
    gate.stop()
    assert len(in_maildir(gate.directory / "mail")) == 2 + 3 + 2
    assert len(gate.command("quarantine", "list").stdout.splitlines()) == 2 + 1
    assert not list((gate.directory / "quarantine" / "held").glob("*.partial"))
    said = [line for line in gate.program.err if "WARNING" in line]
    reason = "Read-only file system: .*dmesg" if how == "read" else "No space left on device: make room there"
    for what, where in ((SPOOL, "spool/files"), (QUARANTINE, "quarantine/held")):
        [failed, works] = [line for line in said if what in line]
        assert re.search(f"WARNING: {what}: {gate.directory}/{where}: {reason}", failed)
        assert works.endswith(f"no more trouble: {what}")


def test_the_store(serve: Callable[..., Gate], disk: Callable[[str], Disk]) -> None:
    full = disk("var")
    gate = serve(config=CONFIG)
    senders = [f"{number}@example.com" for number in range(20)]
    with gate.client() as client:
        assert not put_off(client, senders[0], EIGHT_BIT)
        full.spoil("space")
        for sender in senders[1:-1]:
            assert not put_off(client, sender, EIGHT_BIT)
        gate.program.wait_for(f"WARNING: {STORE}: {full.path}/smtpgate.db: database or disk is full: make room there")
        until_status_tells(gate, STORE)
        full.heal()
        assert not put_off(client, senders[-1], EIGHT_BIT)
    gate.program.wait_for(f"no more trouble: {STORE}")
    until_status_tells(gate)
    assert gate.status()["records"] == {"waiting": 0, "dropped": 0}
    gate.stop()
    assert len(by_address(full.path / "smtpgate.db", "you@example.org", 100)) == len(senders)


@pytest.mark.parametrize("how", ["space", "inodes", "read"])
def test_a_start(how: str, serve: Callable[..., Gate], disk: Callable[[str], Disk]) -> None:
    disks = [disk(name) for name in ("var", "spool", "quarantine")]
    for each in disks:
        each.spoil(how)
    gate = serve(config=CONFIG)
    with gate.client() as client:
        assert put_off(client, "me@example.com", LARGE)
        assert put_off(client, "hold@example.com", EIGHT_BIT)
        assert not put_off(client, "me@example.com", EIGHT_BIT)
        if how != "space":  # a socket takes none
            gate.program.wait_for("WARNING: `smtpgate status` and `smtpgate reload` find no server: .*smtpgate.sock: ")
        gate.program.wait_for(f"WARNING: {STORE}: {disks[0].path}/smtpgate.db: ")
        for each in disks:
            each.heal()
        assert not put_off(client, "me@example.com", LARGE)
        assert not put_off(client, "hold@example.com", EIGHT_BIT)
    gate.program.wait_for(f"no more trouble: {STORE}")
    if how != "space":
        gate.program.wait_for("no more trouble: `smtpgate status`")
    until_status_tells(gate)
    gate.stop()
    assert gate.command("why", "me@example.com").stdout.count("Reference") == 3


def test_the_log(disk: Callable[[str], Disk], tmp_path: Path) -> None:
    full = disk("log")
    gate = Gate(tmp_path / "gate0", config=CONFIG)
    (full.path / "log").write_text("before\n")  # and room for some lines behind it
    full.spoil("space")
    serve = 'exec "$@" >>log/log'
    command = ["sh", "-c", serve, "sh", *smtpgate(), "serve", "--config", "config.toml"]
    gate.program = Program(command, gate.directory, environment())
    gate.program.wait_for("^smtpgate listens on ")
    with gate.client() as client:
        for _ in range(20):
            assert not put_off(client, "me@example.com", EIGHT_BIT)
        gate.program.wait_for(f"WARNING: {LOG}: standard output: No space left on device: make room there")
        until_status_tells(gate, LOG)
        full.heal()
        assert not put_off(client, "last@example.com", EIGHT_BIT)
    gate.program.wait_for("WARNING: [0-9]+ lines of the log were dropped")
    gate.stop()
    before, *lines, last = (full.path / "log").read_text().splitlines()
    assert before == "before"
    assert json.loads(last)["from"] == "last@example.com"
    assert [line for line in lines[:-1] if not json.loads(line)] == []
    assert lines[-1].startswith('{"at": ')  # what there was room for
    assert len(lines) < 20
