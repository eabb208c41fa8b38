"""Messages that do not fit into memory: a killed worker leaves no file."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT
from tests.system.peers import PlayedDownstream, in_maildir

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
