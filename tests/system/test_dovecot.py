"""A real Dovecot behind the gate: LMTP, over its socket and over TCP."""

import smtplib
from collections.abc import Callable

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body, ref
from tests.system.peers import Dovecot, in_maildir

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


def test_notifications_that_dovecot_cannot_send_are_not_promised(gate: Gate) -> None:
    with gate.client() as client:
        client.ehlo()
        assert "chunking" in client.esmtp_features
        assert "dsn" not in client.esmtp_features
        assert client.mail(SENDER, ["RET=HDRS"])[0] == 555
        assert client.mail(SENDER)[0] == 250
        assert client.rcpt("you@example.org", ["NOTIFY=SUCCESS"])[0] == 555


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


def test_a_mailbox_over_its_quota_costs_the_others_no_duplicate(gate: Gate, dovecot: Dovecot) -> None:
    recipients = ["you@example.org", "little@example.org", "also@example.org"]
    message = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 1000

    def replies(client: smtplib.SMTP, message: bytes) -> tuple[int, bytes]:
        client.mail(SENDER)
        assert [client.rcpt(recipient)[0] for recipient in recipients] == [250, 250, 250]
        return client.data(message)

    with gate.client() as client:
        client.ehlo()
        before = {user: len(in_maildir(dovecot.mail / user)) for user in ("you", "little", "also")}
        first = replies(client, message)
        second = replies(client, message)
        assert [first[0], second[0]] == [451, 552]
        assert b"<little@example.org> Quota exceeded" in second[1]
        assert b"; the other recipients have the message (ref " in second[1]
        gate.logged(ref(second[1]))
        told = gate.command("why", ref(second[1])).stdout
        assert told.count("downstream: 250 2.0.0 Ok: delivered at an earlier attempt") == 2, told
        assert "downstream: 552 5.2.2 <little@example.org> Quota exceeded" in told
        grown = {user: len(in_maildir(dovecot.mail / user)) - count for user, count in before.items()}
        assert grown == {"you": 1, "little": 0, "also": 1}
        # A message that fits goes to all; what is remembered is about the other one.
        assert replies(client, b"Subject: small\r\n\r\nHello\r\n")[0] == 250
    grown = {user: len(in_maildir(dovecot.mail / user)) - count for user, count in before.items()}
    assert grown == {"you": 2, "little": 1, "also": 2}
