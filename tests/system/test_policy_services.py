"""check_policy_service with the services that people use: postgrey and policyd-spf."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.conftest import Serve
from tests.system.gate import Gate
from tests.system.messages import ref
from tests.system.policy_services import PolicydSpf, Postgrey

CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "maildir:var/mail"
[dns]
nameservers = ["127.0.0.1:9"]
timeout = "1s"
[phases]
rcpt = ["reject_unauth_destination", {{ rule = "check_policy_service {service}", timeout = "15s", retry_delay = "0s" }}]
"""
MESSAGE = b"Subject: hello\r\n\r\nHello\r\n"


def serve_asking(serve: Serve, service: str) -> Gate:
    return serve(config=CONFIG.replace("{service}", service).replace("{{", "{").replace("}}", "}"))


@contextmanager
def client_that_said(gate: Gate, sender: str) -> Iterator[smtplib.SMTP]:
    with gate.client() as client:
        client.ehlo()
        assert client.mail(sender)[0] == 250
        yield client


@pytest.mark.parametrize("unix", [False, True])
def test_postgrey_puts_off_whom_it_does_not_know(serve: Serve, open_dir: Path, unix: bool) -> None:
    directory = open_dir / f"postgrey-{unix}"
    directory.mkdir()
    postgrey = Postgrey(directory, unix=unix)
    try:
        gate = serve_asking(serve, postgrey.service)
        with client_that_said(gate, "me@example.com") as client:
            code, text = client.rcpt("you@example.org")
            assert (code, text[:6]) == (450, b"4.2.0 "), text
            assert b"Greylisted" in text
            assert postgrey.program.keeps_running(1.5)
            client.rset()
            client.mail("me@example.com")
            assert client.rcpt("you@example.org")[0] == 250
            code, text = client.data(MESSAGE)
        assert code == 250
        why = gate.command("why", ref(text)).stdout
        assert postgrey.service in why
        assert "PREPEND X-Greylist: delayed " in why
        postgrey.stop()
        with client_that_said(gate, "me@example.com") as client:
            code, text = client.rcpt("you@example.org")
        assert (code, text[:6]) == (451, b"4.3.5 ")
    finally:
        postgrey.stop()


def test_policyd_spf_refuses_what_spf_refuses_and_adds_its_field(serve: Serve, open_dir: Path) -> None:
    directory = open_dir / "policyd-spf"
    directory.mkdir()
    records = {"fails.example": "v=spf1 -all", "passes.example": "v=spf1 ip4:127.0.0.0/8 ip4:203.0.113.7 -all"}
    spf = PolicydSpf(directory, records)
    try:
        gate = serve_asking(serve, spf.service)
        gate.change("workers = 1\n", 'workers = 1\nxclient_peers = ["127.0.0.1/32"]\n')
        gate.command("reload")
        with gate.client() as client:
            client.ehlo()
            assert client.docmd("XCLIENT", "ADDR=203.0.113.7 NAME=client.example.net")[0] == 220
            client.ehlo()
            client.mail("me@fails.example")
            code, text = client.rcpt("you@example.org")
            assert (code, text[:7]) == (550, b"5.7.23 "), text
            client.rset()
            client.mail("me@passes.example")
            assert client.rcpt("you@example.org")[0] == 250
            code, text = client.data(MESSAGE)
        assert code == 250
        assert "prepend Received-SPF: Pass" in gate.command("why", ref(text)).stdout
        assert len(spf.started) == 1  # one connection for both
    finally:
        spf.stop()
