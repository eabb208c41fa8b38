"""Messages that do not fit into memory: a killed worker leaves no file, a full disk passes."""

import os
import signal
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body
from tests.system.peers import PlayedDownstream, in_maildir
from tests.system.program import missing

LARGE = EIGHT_BIT + b"".join(b".%d and so on\r\n" % number for number in range(300_000))
SPOOL = 'spool = "spool"'


def holders(directory: Path) -> list[int]:
    """The processes that have a file of this directory open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor).startswith(f"{directory}/"):
                found.append(int(descriptor.parts[2]))
        except OSError:
            pass  # it was closed, or belongs to somebody else
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    directory = tmp_path / "small"
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", directory], capture_output=True)
    if done.returncode:
        missing(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("bdat", [False, True], ids=["DATA", "BDAT"])
def test_it_arrives_as_it_was_sent(bdat: bool, serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", server=SPOOL)
    with gate.client() as client:
        if bdat:
            client.ehlo()
            client.mail("me@example.com", ["BODY=8BITMIME"])
            client.rcpt("you@example.org")
            client.send(b"BDAT %d LAST\r\n" % len(LARGE) + LARGE)
            assert client.getreply()[0] == 250
        else:
            assert client.sendmail("me@example.com", ["you@example.org"], LARGE) == {}
    [stored] = in_maildir(gate.directory / "mail")
    assert stored.endswith(LARGE)
    assert holders(gate.directory / "spool") == []


def test_a_worker_is_killed_with_a_message_in_its_spool(serve: Callable[..., Gate], played: PlayedDownstream) -> None:
    gate = serve(played.url, server=SPOOL)
    client = gate.talk()
    client.reply()
    client.ask("EHLO client.example.net")
    client.ask("MAIL FROM:<me@example.com>")
    client.send("RCPT TO:<you@example.org>")
    downstream = played.accept()
    for _ in ("MAIL", "RCPT"):
        downstream.line()
        downstream.send("250 2.1.0 Ok")
    client.reply()
    client.ask("DATA")
    client.socket.sendall(LARGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    assert downstream.line() == "DATA"  # the whole message is there
    [worker] = holders(gate.directory / "spool")
    assert os.listdir(gate.directory / "spool") == []
    assert (gate.directory / "spool").stat().st_mode & 0o777 == 0o700
    os.kill(worker, signal.SIGKILL)
    assert client.line() == ""  # never a 250
    assert downstream.line() == ""
    assert holders(gate.directory / "spool") == []
    gate.program.wait_for("worker .* (ended|was killed)")


def test_a_disk_that_is_full(serve: Callable[..., Gate], small_disk: Path) -> None:
    gate = serve("maildir:mail", server=f'spool = "{small_disk}"')
    with gate.client() as client:
        for _ in range(2):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("me@example.com", ["you@example.org"], LARGE)
            assert refused.value.smtp_code == 452
            assert b"4.3.1" in refused.value.smtp_error
            assert holders(small_disk) == []
            # Neither this session nor smaller mail is disturbed.
            assert client.sendmail("me@example.com", ["you@example.org"], EIGHT_BIT) == {}
        gate.program.wait_for("a message was put off: .*No space left on device")
        subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
        assert client.sendmail("me@example.com", ["you@example.org"], LARGE) == {}
    stored = in_maildir(gate.directory / "mail")
    assert sorted(map(len, map(body, stored))) == [len(body(EIGHT_BIT))] * 2 + [len(body(LARGE))]
    gate.stop()
