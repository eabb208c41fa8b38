"""Who exists is asked of real servers: Postfix and Dovecot behind the gate, Postfix as the sender's own mail server."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dns.name_server import name_server, wire
from tests.system.gate import Gate
from tests.system.peers import Dovecot, Postfix

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["DOMAIN"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "{relay}"
timeout = "10s"
[store]
url = "sqlite:///var/smtpgate.db"
[verification]
wait = "20s"
private_servers = true
[dns]
nameservers = ["127.0.0.1:NAMESERVER"]
timeout = "1s"
[phases]
rcpt = ["reject_unauth_destination", RULE]
"""


def config(rule: str, *, domain: str = "example.org", name_server: int = 53) -> str:
    return _CONFIG.replace("RULE", rule).replace("DOMAIN", domain).replace("NAMESERVER", str(name_server))


def ask(gate: Gate, recipient: str = "you@example.org", sender: str = "me@example.com") -> str:
    """The answer to RCPT."""
    with gate.client() as client:
        client.ehlo()
        assert client.mail(sender)[0] == 250
        code, text = client.rcpt(recipient)
    return f"{code} {text.decode()}"


@pytest.fixture(params=["postfix", "dovecot"])
def downstream(request: pytest.FixtureRequest) -> str:
    """The URL of a server that knows you@example.org and not nobody@example.org."""
    server: Postfix | Dovecot = request.getfixturevalue(request.param)
    return server.url if isinstance(server, Postfix) else server.urls["unix"]


@pytest.mark.parametrize(
    ("code", "refusal"), [(550, "550 5.1.1 <nobody@example.org>: Recipient address rejected: undeliverable address: "),
                          (450, "450 4.1.1 <nobody@example.org>: Recipient address rejected: unverified address: ")],
)  # fmt: skip
def test_a_recipient_is_asked_of_the_server_behind(
    serve: Callable[..., Gate], downstream: str, code: int, refusal: str
) -> None:
    rule = f'{{ rule = "reject_unverified_recipient", code = {code} }}'
    gate = serve(downstream, config=config(rule))
    assert ask(gate).startswith("250 ")
    first = ask(gate, "nobody@example.org")
    assert first.startswith(refusal)
    assert "nobody@example.org" in first.removeprefix(refusal) or "unknown" in first  # the server's own words
    assert ask(gate, "nobody@example.org").startswith(refusal)  # remembered


@pytest.fixture
def mail_server() -> Iterator[tuple[str, Postfix]]:
    """A Postfix on port 25 of a loopback address that is nobody else's; it knows you@example.org."""
    address = f"127.25.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
    with tempfile.TemporaryDirectory(prefix="smtpgate-") as name:
        Path(name).chmod(0o755)
        server = Postfix(Path(name), address, 25).start()
        yield address, server
        server.stop()


async def test_a_sender_is_asked_of_its_own_server(
    serve: Callable[..., Gate], postfix: Postfix, mail_server: tuple[str, Postfix]
) -> None:
    address, server = mail_server
    records = {
        ("example.org.", "MX"): "example.org. 60 IN MX 10 mx.example.org.",
        ("mx.example.org.", "A"): f"mx.example.org. 60 IN A {address}",
    }

    def answer(question, tcp: bool) -> list[bytes]:
        asked = question.question[0]
        found = records.get((asked.name.to_text().lower(), asked.rdtype.name))
        soa = "example.org. 60 IN SOA ns.example.org. postmaster.example.org. 1 1 1 1 60"
        return [wire(question, found) if found else wire(question, authority=[soa])]

    async with name_server(answer) as names:
        rule = '{ rule = "reject_unverified_sender", code = 550 }'
        text = config(rule, domain="example.net", name_server=names.port)
        gate = await asyncio.to_thread(serve, postfix.url, config=text)

        async def told(sender: str) -> str:
            return await asyncio.to_thread(ask, gate, "you@example.net", sender)

        assert (await told("you@example.org")).startswith("250 ")
        refused = await told("nobody@example.org")
        assert refused.startswith("550 5.1.7 <nobody@example.org>: Sender address rejected: undeliverable address: ")
        assert "User unknown" in refused
        # That Postfix was asked as it is asked for a bounce, and was left politely.
        server.program.wait_for(r"NOQUEUE: reject: RCPT .* <nobody@example.org>.* from=<>")
        await asyncio.to_thread(server.stop)
        unknown = await told("else@example.org")
        assert unknown.startswith("450 4.1.7 <else@example.org>: Sender address rejected: unverified address: ")
        assert (await told("you@example.org")).startswith("250 ")  # remembered
