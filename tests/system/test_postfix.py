"""A real Postfix behind the gate."""

import smtplib
from collections.abc import Callable

import pytest

from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body, ref
from tests.system.peers import Postfix

SENDER = "me@example.com"


def test_a_mail_arrives_and_its_story_is_known(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve(postfix.url)
    with gate.client() as client:
        client.ehlo()
        assert client.mail(SENDER, ["BODY=8BITMIME"])[0] == 250
        assert client.rcpt("you@example.org")[0] == 250
        code, text = client.data(EIGHT_BIT)
    assert code == 250
    assert b"queued as" in text  # Postfix's own words
    [arrived] = postfix.delivered("you", 1)
    assert body(arrived) == body(EIGHT_BIT)
    assert f"by mx.example.org (smtpgate) with ESMTP id {ref(text)}".encode() in arrived
    assert gate.logged(ref(text))["outcome"] == "accepted"
    why = gate.command("why", ref(text))
    assert why.returncode == 0
    assert "queued as" in why.stdout


def test_an_unknown_user_is_refused_at_rcpt_in_postfix_own_words(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve(postfix.url)
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt("nobody@example.org")
        assert code == 550
        assert text.startswith(b"5.1.1 <nobody@example.org>: Recipient address rejected: User unknown")
        assert client.rcpt("you@example.org")[0] == 250
        assert client.data(b"Subject: for one of two\r\n\r\nHello\r\n")[0] == 250
    assert len(postfix.delivered("you", 1)) == 1
    why = gate.command("why", ref(text))
    assert "User unknown" in why.stdout


def test_two_recipients_get_one_each(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve(postfix.url)
    with gate.client() as client:
        assert client.sendmail(SENDER, ["you@example.org", "also@example.org"], b"Subject: two\r\n\r\nHi\r\n") == {}
    assert len(postfix.delivered("you", 1)) == 1
    assert len(postfix.delivered("also", 1)) == 1


def test_one_connection_serves_many_mails(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve(postfix.url)
    for number in range(3):
        with gate.client() as client:
            client.sendmail(SENDER, ["you@example.org"], f"Subject: {number}\r\n\r\nHi\r\n".encode())
    assert len(postfix.delivered("you", 3)) == 3
    # Postfix logs a connection when it begins, and each mail of it.
    assert len([line for line in postfix.program.out if "connect from unknown[127.0.0.1]" in line]) == 1


def test_a_mail_that_is_too_large_for_postfix_is_refused_with_its_code(
    serve: Callable[..., Gate], postfix: Postfix
) -> None:
    gate = serve(postfix.url)
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(SENDER, ["you@example.org"], b"Subject: large\r\n\r\n" + b"x" * 70 * 45_000)
    code, text = refused.value.recipients["you@example.org"]
    assert (code, text[:6]) == (552, b"5.3.4 ")


def test_postfix_stopped_and_started_again(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve(postfix.url)
    message = b"Subject: again\r\n\r\nHello\r\n"
    with gate.client() as client:
        client.sendmail(SENDER, ["you@example.org"], message)
    postfix.delivered("you", 1)
    postfix.stop()
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(SENDER, ["you@example.org"], message)
    code, text = refused.value.recipients["you@example.org"]
    assert (code, text[:6]) == (451, b"4.4.1 ")
    postfix.start()
    with gate.client() as client:
        client.sendmail(SENDER, ["you@example.org"], message)
    assert len(postfix.delivered("you", 1)) == 2
