"""A real Dovecot behind the gate: LMTP, over its socket and over TCP."""

from collections.abc import Callable

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body, ref
from tests.system.peers import Dovecot

SENDER = "me@example.com"

over_both = pytest.mark.parametrize("way", ["unix", "tcp"])


@over_both
def test_a_mail_arrives_untouched(way: str, serve: Callable[..., Gate], dovecot: Dovecot) -> None:
    gate = serve(dovecot.urls[way])
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER, ["BODY=8BITMIME"])
        assert client.rcpt("you@example.org")[0] == 250
        code, text = client.data(EIGHT_BIT)
    assert (code, text[:6]) == (250, b"2.0.0 ")
    [arrived] = dovecot.delivered("you")  # LMTP answers when the mail is in the mailbox
    assert body(arrived) == body(EIGHT_BIT)
    assert f"id {ref(text)}\r\n\tfor <you@example.org>;".encode() in arrived


@over_both
def test_an_unknown_user_is_refused_at_rcpt(way: str, serve: Callable[..., Gate], dovecot: Dovecot) -> None:
    gate = serve(dovecot.urls[way])
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt("nobody@example.org")
    assert code == 550
    assert text.startswith(b"5.1.1 <nobody@example.org> User doesn't exist")
    assert "User doesn't exist" in gate.command("why", ref(text)).stdout


def test_each_recipient_gets_one(serve: Callable[..., Gate], dovecot: Dovecot) -> None:
    gate = serve(dovecot.urls["unix"])
    message = b"Subject: for two\r\n\r\nHello\r\n"
    with gate.client() as client:
        for _ in range(2):
            assert client.sendmail(SENDER, ["you@example.org", "also@example.org"], message) == {}
    for user in ("you", "also"):
        assert [body(arrived) for arrived in dovecot.delivered(user)] == [b"Hello\r\n"] * 2
