"""The bare gate with look-ups asks what `restrictions` makes the others ask, and answers RCPT when all is answered."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from bench.asking_gate import AskingClient
from bench.bare_gate import Downstream
from smtpgate.dns.resolver import Answer, Status

ASKED = Callable[[Answer], None]


class Resolver:
    """asked: who waits for the answers, by question."""

    def __init__(self) -> None:
        self.asked: dict[tuple[str, str], ASKED] = {}

    def ask(self, name: str, kind: str, then: ASKED, is_wanted: Callable[[], bool]) -> None:
        """Take a question."""
        self.asked[name, kind] = then


class Transport:
    """Of a client 127.1.2.3, and of smtp-sink."""

    def __init__(self) -> None:
        self.written = b""

    def get_extra_info(self, name: str) -> object:
        """Say who it is."""
        return ("127.1.2.3", 4000)

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written += data


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    asked = Resolver()
    monkeypatch.setattr(AskingClient, "resolver", asked, raising=False)
    monkeypatch.setattr(AskingClient, "lists", ["list1.example", "list2.example"], raising=False)
    return asked


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Transport:
    downstream = Downstream(AskingClient())
    downstream.transport = Transport()  # type: ignore[assignment]
    monkeypatch.setattr(Downstream, "idle", [downstream])
    return downstream.transport


@pytest.mark.parametrize("early", [False, True])
def test_it_asks_at_once_and_passes_on_when_all_is_answered(resolver: Resolver, sink: Transport, early: bool):
    client = AskingClient()
    client.connection_made(Transport())  # type: ignore[arg-type]
    assert list(resolver.asked) == [
        ("3.2.1.127.in-addr.arpa", "PTR"),
        ("3.2.1.127.list1.example", "A"),
        ("3.2.1.127.list2.example", "A"),
    ]
    client.data_received(b"EHLO h1-2-3.hosts.example\r\n")
    client.data_received(b"MAIL FROM:<ann@d1.senders.example>\r\n")
    assert list(resolver.asked)[-1] == ("d1.senders.example", "MX")
    if not early:
        client.data_received(b"RCPT TO:<you@example.org>\r\n")
    answers = {"PTR": ("h1-2-3.hosts.example",), "A": (IPv4Address("127.1.2.3"),), "MX": ()}
    while resolver.asked:
        assert sink.written == b""
        (name, kind), then = resolver.asked.popitem()
        then(Answer(name, kind, Status.ANSWER, answers[kind]))  # type: ignore[arg-type]
    if early:
        client.data_received(b"RCPT TO:<you@example.org>\r\n")
    assert sink.written == b"MAIL FROM:<ann@d1.senders.example>\r\nRCPT TO:<you@example.org>\r\n"
