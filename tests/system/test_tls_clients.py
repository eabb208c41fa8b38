"""TLS as postmasters try it out: swaks, and OpenSSL's own client, against the program and its event loop."""

import json
import signal
import smtplib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.certificates import NAME, Certificate, issue
from tests.system.gate import Gate, Talk
from tests.system.messages import body
from tests.system.peers import in_maildir
from tests.system.program import PATIENCE, require
from tests.system.tls_gate import TlsGate, serve_tls, tls_config


@pytest.fixture
def tls_gate(serve: Callable[..., Gate], tmp_path: Path) -> TlsGate:
    return serve_tls(serve, tmp_path, "reject_plaintext_session")


def run(*command: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("option", ["--tls", "--tls-on-connect"])
def test_swaks(option: str, tls_gate: TlsGate) -> None:
    program = require("swaks", "swaks")
    port = tls_gate.port if option == "--tls" else tls_gate.implicit
    done = run(
        program, "--server", f"127.0.0.1:{port}", option, "--tls-ca-path", str(tls_gate.certificate.certificate),
        "--tls-verify", "--tls-sni", NAME, "--helo", "client.example.net", "--from", "me@example.com",
        "--to", "you@example.org",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [message] = tls_gate.arrived()
    assert b" with ESMTPS id " in message
    assert body(message) == b"This is a test mailing\r\n\r\n\r\n"
    why = tls_gate.gate.command("why", "you@example.org")
    assert "\n  encrypted with TLSv1." in why.stdout
    assert f", for {NAME}\n" in why.stdout


def test_swaks_in_plaintext_is_refused_where_the_rule_says_so(tls_gate: TlsGate) -> None:
    done = run(require("swaks", "swaks"), "--server", f"127.0.0.1:{tls_gate.port}", "--to", "you@example.org")
    assert "<** 450 4.7.1 Session encryption is required" in done.stdout


MESSAGE = """\
EHLO client.example.net
MAIL FROM:<me@example.com>
RCPT TO:<you@example.org>
DATA
Subject: typed

By hand.
.
QUIT
"""


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("starttls", [True, False])
def test_openssl(version: str, starttls: bool, tls_gate: TlsGate) -> None:
    port = tls_gate.port if starttls else tls_gate.implicit
    how = ["-starttls", "smtp"] if starttls else []
    done = run(
        require("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *how, version, "-servername", NAME,
        "-CAfile", str(tls_gate.certificate.certificate), "-verify_return_error", "-quiet", "-crlf", typed=MESSAGE,
    )  # fmt: skip
    assert "221 2.0.0 Bye" in done.stdout, done.stdout + done.stderr
    assert [body(message) for message in tls_gate.arrived()] == [b"By hand.\r\n"]
    line = tls_gate.gate.program.wait_for('"accepted"')
    assert json.loads(line)["tls"] == version.replace("-tls1_", "TLSv1.")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_shows_a_certificate_that_nobody_signed(version: str, tls_gate: TlsGate, tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    own = issue(tmp_path / "client", "client.example.net")
    done = run(
        require("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{tls_gate.port}", "-starttls", "smtp",
        version, "-cert", str(own.certificate), "-key", str(own.key), "-quiet", "-crlf", typed=MESSAGE,
    )  # fmt: skip
    assert "221 2.0.0 Bye" in done.stdout, done.stdout + done.stderr
    issued = b'\t(Client CN "client.example.net", Issuer "client.example.net" (not verified))\r\n'
    assert any(issued in message for message in tls_gate.arrived())
    told = tls_gate.gate.command("why", "you@example.org").stdout
    fingerprint = run("openssl", "x509", "-in", str(own.certificate), "-noout", "-fingerprint", "-sha256").stdout
    assert "\n  certificate of client.example.net, signed by client.example.net\n" in told
    assert f"\n      fingerprint {fingerprint.strip().partition('=')[2]}\n" in told


@pytest.mark.parametrize("option", ["-tls1_1", "-ssl3"])
def test_openssl_with_an_old_version(option: str, tls_gate: TlsGate) -> None:
    done = run(
        require("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{tls_gate.port}", "-starttls", "smtp",
        option, "-cipher", "ALL:@SECLEVEL=0", typed="QUIT\n",
    )  # fmt: skip
    assert done.returncode != 0


def test_an_expired_certificate_is_told_about(serve: Callable[..., Gate], tmp_path: Path) -> None:
    certificate = issue(tmp_path, days=(-30, -1))
    gate = serve(config=tls_config(free_port()))
    said = r'config.toml:14: \[tls\] certificate: "../certificate.pem": it expired on '
    gate.program.wait_for(f"WARNING: {said}")
    checked = gate.command("config", "check")
    assert checked.returncode == 0
    assert checked.stderr.startswith('warning: config.toml:14: [tls] certificate: "../certificate.pem": it expired on ')
    assert "\n  certificate     WARNING: ../certificate.pem: it expired on " in gate.command("status").stdout
    assert gate.command("reload").returncode == 0
    gate.program.wait_for(f"WARNING: {said}", times=2)
    issue(certificate.certificate.parent)
    assert "\n  certificate     good until " in gate.command("status").stdout


def client(gate: TlsGate, certificate: Certificate) -> smtplib.SMTP:
    found = smtplib.SMTP("127.0.0.1", gate.port, local_hostname="client.example.net", timeout=PATIENCE)
    found._host = NAME  # type: ignore[attr-defined]  # what the certificate is compared with
    found.starttls(context=certificate.client_context())
    return found


def test_a_new_certificate_without_a_restart(tls_gate: TlsGate, tmp_path: Path) -> None:
    with client(tls_gate, tls_gate.certificate) as before:
        tls_gate.certificate.key.write_text("half written")
        tls_gate.gate.program.wait_for("the new key .* is not used, the old one stays")
        with client(tls_gate, tls_gate.certificate) as still_old:
            still_old.noop()
        renewed = issue(tmp_path)
        tls_gate.gate.program.wait_for("changed and is used from now on")
        with client(tls_gate, renewed) as new:
            new.sendmail("me@example.com", "you@example.org", "Subject: new\r\n\r\nnew\r\n")
        before.sendmail("me@example.com", "you@example.org", "Subject: old\r\n\r\nold\r\n")
    assert {body(message) for message in in_maildir(tls_gate.gate.directory / "mail")} == {b"new\r\n", b"old\r\n"}


def test_a_stop_while_somebody_shakes_hands(tls_gate: TlsGate) -> None:
    with socket.create_connection(("127.0.0.1", tls_gate.implicit), PATIENCE) as silent:
        talk = tls_gate.gate.talk()
        assert talk.reply().startswith("220 ")
        tls_gate.gate.stop(signal.SIGTERM)
        assert silent.recv(1) == b""


def test_a_key_that_does_not_fit_is_said_at_the_start(serve: Callable[..., Gate], tmp_path: Path) -> None:
    issue(tmp_path)
    certificate = (tmp_path / "certificate.pem").read_bytes()
    issue(tmp_path)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    gate = Gate(tmp_path / "gate", config=tls_config(free_port()))
    program = gate.run_serve()
    assert program.wait() == 1
    line = program.wait_for("key")
    assert line == 'config.toml:15: [tls] key: "../key.pem": it does not belong to the certificate'


def test_injected_plaintext_is_not_answered(tls_gate: TlsGate) -> None:
    """CVE-2011-0411, as it was found in others."""
    plain = socket.create_connection(("127.0.0.1", tls_gate.port), PATIENCE)
    talk = Talk(plain)
    talk.reply()
    talk.ask("EHLO client.example.net")
    assert talk.ask("STARTTLS", "RSET", "EHLO injected.example.net").startswith("220 ")
    with tls_gate.certificate.client_context().wrap_socket(plain, server_hostname=NAME) as secured:
        secured.sendall(b"NOOP\r\n")
        assert secured.recv(1000) == b"250 2.0.0 Ok\r\n"
        secured.sendall(b"MAIL FROM:<me@example.com>\r\n")
        assert secured.recv(1000).startswith(b"503 5.5.1 Error: send HELO or EHLO first")
