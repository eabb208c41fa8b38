"""What scripts send mail with: curl, and Python's smtplib; in plaintext, after STARTTLS and in TLS from the start."""

import smtplib
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

import pytest

from tests.certificates import NAME
from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body
from tests.system.program import PATIENCE, require
from tests.system.tls_gate import TlsGate, serve_tls

LINE = b"The quick brown fox jumps over the lazy dog, again and again it runs.\r\n"


@pytest.fixture
def place(serve: Callable[..., Gate], tmp_path: Path) -> TlsGate:
    return serve_tls(serve, tmp_path)


def curl(
    place: TlsGate, way: str, message: Path, *options: str, to: str = "you@example.org"
) -> "subprocess.CompletedProcess[str]":
    """Send a file. way: "smtp", "starttls" or "smtps"."""
    port = place.implicit if way == "smtps" else place.port
    scheme = "smtps" if way == "smtps" else "smtp"
    secured = ["--cacert", str(place.certificate.certificate)] + (["--ssl-reqd"] if way == "starttls" else [])
    return subprocess.run(
        [
            require("curl", "curl"), "--silent", "--show-error", "--verbose", "--noproxy", "*",
            "--connect-to", f"{NAME}:{port}:127.0.0.1:{port}", f"{scheme}://{NAME}:{port}/client.example.net",
            *([] if way == "smtp" else secured), "--mail-from", "me@example.com", "--mail-rcpt", to,
            "--upload-file", str(message), *options,
        ],
        capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["smtp", "starttls", "smtps"])
def test_curl(way: str, place: TlsGate, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(EIGHT_BIT)
    done = curl(place, way, message)
    assert done.returncode == 0, done.stderr
    [arrived] = place.arrived()
    assert body(arrived) == body(EIGHT_BIT)
    assert (b" with ESMTPS id " in arrived) == (way != "smtp")


@pytest.mark.parametrize("way", ["smtp", "smtps"])
def test_curl_sends_a_megabyte(way: str, place: TlsGate, tmp_path: Path) -> None:
    content = b"Subject: large\r\n\r\n" + (b"." + LINE) * (2**20 // (len(LINE) + 1))
    message = tmp_path / "message"
    message.write_bytes(content)
    done = curl(place, way, message)
    assert done.returncode == 0, done.stderr
    assert [body(arrived) for arrived in place.arrived()] == [body(content)]


def test_curl_ends_lines_properly_if_asked(place: TlsGate, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"Subject: from Unix\n\nIt works.\n.\nStill.\n")
    refused = curl(place, "smtp", message)
    assert refused.returncode != 0
    assert "< 550 5.5.2 Message contains bare CR, bare LF or NUL characters (ref " in refused.stderr
    done = curl(place, "smtp", message, "--crlf")
    assert done.returncode == 0, done.stderr
    assert [body(arrived) for arrived in place.arrived()] == [b"It works.\r\n.\r\nStill.\r\n"]


def test_curl_to_several(place: TlsGate, tmp_path: Path) -> None:
    """One refused recipient ends curl's transaction, unless it is told otherwise."""
    message = tmp_path / "message"
    message.write_bytes(b"Subject: for several\r\n\r\nIt works.\r\n")
    refused = curl(place, "smtp", message, "--mail-rcpt", "you@elsewhere.example")
    assert refused.returncode == 55, refused.stderr
    assert "< 554 5.7.1 <you@elsewhere.example>: Relay access denied (ref " in refused.stderr
    assert place.arrived() == []
    done = curl(place, "smtp", message, "--mail-rcpt", "you@elsewhere.example", "--mail-rcpt-allowfails")
    assert done.returncode == 0, done.stderr
    assert len(place.arrived()) == 1


def client(place: TlsGate, way: str) -> smtplib.SMTP:
    context = place.certificate.client_context()
    if way == "smtps":
        context.check_hostname = False  # smtplib connects to the name that it compares
        return smtplib.SMTP_SSL("127.0.0.1", place.implicit, "client.example.net", timeout=PATIENCE, context=context)
    found = smtplib.SMTP("127.0.0.1", place.port, local_hostname="client.example.net", timeout=PATIENCE)
    if way == "starttls":
        context.check_hostname = False
        found.starttls(context=context)
    return found


def message(*recipients: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "me@example.com", ", ".join(recipients), "Grüße"
    made.set_content("Schöne Grüße.\n.\n..\n", cte="8bit")
    return made


@pytest.mark.parametrize("way", ["smtp", "starttls", "smtps"])
def test_smtplib(way: str, place: TlsGate) -> None:
    """8-bit text to two recipients, and a second message on the same connection."""
    with client(place, way) as sending:
        for _ in range(2):
            assert (
                sending.send_message(message("you@example.org", "also@example.org"), mail_options=["BODY=8BITMIME"])
                == {}
            )
    assert [body(arrived) for arrived in place.arrived()] == ["Schöne Grüße.\r\n.\r\n..\r\n".encode()] * len(
        place.arrived()
    )
    assert len(place.arrived()) >= 2
    assert all((b" with ESMTPS id " in arrived) == (way != "smtp") for arrived in place.arrived())


def test_smtplib_tells_who_was_refused(place: TlsGate) -> None:
    with client(place, "smtp") as sending:
        refused = sending.send_message(message("you@example.org", "you@elsewhere.example"))
        assert refused.keys() == {"you@elsewhere.example"}
        code, text = refused["you@elsewhere.example"]
        assert (code, text[:6]) == (554, b"5.7.1 ")


def test_smtplib_with_smtputf8(place: TlsGate) -> None:
    made = EmailMessage(policy=SMTPUTF8)
    made["From"], made["To"], made["Subject"] = "jürgen@bücher.example", "grüße@bücher.example", "Grüße"
    made.set_content("It works.\n")
    with client(place, "starttls") as sending:
        assert sending.send_message(made) == {}
    [arrived] = place.arrived()
    assert b" with UTF8SMTPS id " in arrived
    assert "To: grüße@bücher.example\r\n".encode() in arrived
