"""config.toml as it is shipped, on a machine that has no DNS."""

import socket
from collections.abc import Callable, Iterator

import pytest

from bench.ports import free_port
from tests.system.gate import ROOT, Gate
from tests.system.messages import ref
from tests.system.peers import in_maildir


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A name server that hears everything and answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        yield silent


def shipped(port: int) -> str:
    """The shipped configuration, but for the ports that are listened on and asked for names."""
    text = (ROOT / "config.toml").read_text()
    for old, new in (
        ("127.0.0.1:2525", "127.0.0.1:{port}"),
        ("nameservers = []", f'nameservers = ["127.0.0.1:{port}"]'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("dns", ["silent", "none"])
def test_the_first_mail_arrives_and_why_shows_what_each_rule_would_have_done(
    dns: str, silent: socket.socket, serve: Callable[..., Gate]
) -> None:
    gate = serve(config=shipped(silent.getsockname()[1] if dns == "silent" else free_port()))
    assert "rules         19, of them 10 in shadow mode" in "\n".join(gate.program.err)
    with gate.client() as client:
        client.ehlo()
        client.mail("me@example.com")
        client.rcpt("you@example.org")
        code, text = client.data(b"Subject: hello\r\n\r\nIt works.\r\n")
    assert code == 250
    [arrived] = in_maildir(gate.directory / "var" / "mail")
    assert arrived.endswith(b"\r\n\r\nIt works.\r\n")
    assert gate.logged(ref(text))["outcome"] == "accepted"
    gate.stop()  # what is written is written
    if dns == "silent":
        assert silent.recv(512)  # it was asked
    why = gate.command("why", "you@example.org")
    assert why.returncode == 0, why.stderr
    assert ref(text) in why.stdout
    for rule in ("reject_rbl_client", "reject_unknown_sender_domain", "check_spf", "greylist", "check_dkim"):
        assert rule in why.stdout
    assert "shadow" in why.stdout


def test_what_is_enforced_without_dns(serve: Callable[..., Gate]) -> None:
    gate = serve(config=shipped(free_port()))
    with gate.client() as client:
        client.ehlo()
        assert client.mail("me@localhost")[0] == 250  # answered at RCPT (delay_reject)
        assert client.rcpt("you@example.org")[0] == 504
        client.rset()
        client.mail("me@example.com")
        assert client.rcpt("you@elsewhere.example")[0] == 554
    # Sent behind EHLO without waiting for its answer: PIPELINING was not offered yet.
    hasty = gate.talk()
    hasty.reply()
    hasty.send("EHLO client.example.net", "MAIL FROM:<me@example.com>", "RCPT TO:<you@example.org>", "DATA")
    assert [hasty.reply()[:3] for _ in range(3)] == ["250", "250", "250"]
    assert hasty.reply().startswith("503 5.5.0 ")
    hasty.close()
