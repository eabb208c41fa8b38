"""A real Dovecot behind the gate: LMTP, over its socket and over TCP."""

from collections.abc import Callable

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body, ref
from tests.system.peers import Dovecot

SENDER = "me@example.com"


@pytest.fixture(scope="module", params=["unix", "tcp"])
def gate(request: pytest.FixtureRequest, serve_all: Callable[..., Gate], dovecot: Dovecot) -> Gate:
    """In front of Dovecot's LMTP socket, or of its LMTP port."""
    return serve_all(dovecot.urls[request.param])


def test_a_mail_arrives_untouched(gate: Gate, dovecot: Dovecot) -> None:
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER, ["BODY=8BITMIME"])
        assert client.rcpt("you@example.org")[0] == 250
        code, text = client.data(EIGHT_BIT)
    assert (code, text[:6]) == (250, b"2.0.0 ")
    arrived = dovecot.delivered(text)
    assert body(arrived) == body(EIGHT_BIT)
    assert f"id {ref(text)}\r\n\tfor <you@example.org>;".encode() in arrived


def test_an_unknown_user_is_refused_at_rcpt(gate: Gate) -> None:
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt("nobody@example.org")
    assert code == 550
    assert text.startswith(b"5.1.1 <nobody@example.org> User doesn't exist")
    assert gate.logged(ref(text))["decided_by"] == "downstream"


def test_each_recipient_gets_one(gate: Gate, dovecot: Dovecot) -> None:
    with gate.client() as client:
        client.ehlo()
        for content in (b"first\r\n", b"second\r\n"):
            client.mail(SENDER)
            client.rcpt("you@example.org")
            client.rcpt("also@example.org")
            code, text = client.data(b"Subject: for two\r\n\r\n" + content)
            assert code == 250
            assert [body(dovecot.delivered(text, user)) for user in ("you", "also")] == [content, content]
