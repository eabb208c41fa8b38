"""swaks, the postmaster's tool, as the client; mail goes into a Maildir."""

import subprocess
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path

import pytest

from tests.system.gate import Gate
from tests.system.messages import body, ref
from tests.system.peers import message_of
from tests.system.program import PATIENCE, require

REFUSED_AT_RCPT = 24  # swaks(1), EXIT CODES


@pytest.fixture(scope="module")
def gate(serve_all: Callable[..., Gate]) -> Gate:
    """In front of a Maildir."""
    return serve_all("maildir:mail")


@pytest.fixture
def swaks(gate: Gate, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run swaks against the gate."""
    program = require("swaks", "swaks")

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        server = ["--server", f"127.0.0.1:{gate.port}", "--helo", "client.example.net", "--from", "me@example.com"]
        return subprocess.run(
            [program, *server, *options], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    return run


Swaks = Callable[..., "subprocess.CompletedProcess[str]"]


def test_its_own_message(gate: Gate, swaks: Swaks) -> None:
    done = swaks("--to", "you@example.org")
    assert done.returncode == 0, done.stdout
    arrived = message_of(done.stdout, gate.directory / "mail")
    assert b"\r\nX-Mailer: swaks" in arrived
    assert body(arrived) == b"This is a test mailing\r\n\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dots", b".\r\n..\r\n.hidden\r\n...\r\n"),
        ("long lines", b"a" * 998 + b"\r\n" + b"b" * 70_000 + b"\r\n"),
        ("8 bit", "Grüße, 世界\r\n".encode() * 10),
        (
            "1 MB",
            b"".join(b"%06d and what fills the line up to sixty-four octets, no more.\r\n" % n for n in range(16384)),
        ),
        ("empty", b""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_content_arrives_as_it_was(name: str, content: bytes, gate: Gate, swaks: Swaks, tmp_path: Path) -> None:
    # swaks takes LF as the line end, and puts CRLF on the wire.
    message = f"Subject: {name}\nFrom: me@example.com\n\n".encode() + content.replace(b"\r\n", b"\n")
    (tmp_path / "message").write_bytes(message)
    done = swaks("--to", "you@example.org", "--data", "@message", "--suppress-data")
    assert done.returncode == 0, done.stdout
    arrived = message_of(done.stdout, gate.directory / "mail")
    assert body(arrived).rstrip(b"\r\n") == content.rstrip(b"\r\n")  # swaks adds a line end


def test_an_attachment(gate: Gate, swaks: Swaks, tmp_path: Path) -> None:
    picture = bytes(range(256)) * 40
    (tmp_path / "picture").write_bytes(picture)
    done = swaks("--to", "you@example.org", "--body", "Look", "--attach-name", "p.bin", "--attach", "@picture")
    assert done.returncode == 0, done.stdout
    arrived = message_of(done.stdout, gate.directory / "mail")
    [attached] = message_from_bytes(arrived, policy=default_policy).iter_attachments()
    assert attached.get_filename() == "p.bin"
    assert attached.get_content() == picture


def test_a_refusal_and_why(gate: Gate, swaks: Swaks) -> None:
    done = swaks("--to", "you@elsewhere.example")
    assert done.returncode == REFUSED_AT_RCPT
    [refusal] = [line for line in done.stdout.splitlines() if line.startswith("<** ")]
    assert refusal.startswith("<** 554 5.7.1 ")
    why = gate.command("why", ref(refusal))
    assert why.returncode == 0
    assert "reject_unauth_destination" in why.stdout
    assert "you@elsewhere.example" in why.stdout
    assert ref(refusal) in gate.command("why", "you@elsewhere.example").stdout


def test_why_of_what_never_was(gate: Gate) -> None:
    why = gate.command("why", "ZZZZZZZZ")
    assert why.returncode == 1
    assert "Traceback" not in why.stderr
