"""A real Postfix behind the gate."""

import re
import smtplib
from collections.abc import Callable

import pytest

from tests.system.gate import _CONFIG, Gate, Talk
from tests.system.messages import EIGHT_BIT, body, ref
from tests.system.peers import Postfix

SENDER = "me@example.com"
HELLO = b"Subject: hello\r\n\r\nHello\r\n"


@pytest.fixture(scope="module")
def gate(serve_all: Callable[..., Gate], postfix: Postfix) -> Gate:
    """In front of Postfix."""
    return serve_all(postfix.url)


def serve_knowing(serve: Callable[..., Gate], postfix: Postfix) -> Gate:
    """In front of Postfix, once the gate knows what Postfix offers."""
    asked = "disconnect from .* ehlo=1 quit=1 "
    before = sum(bool(re.search(asked, line)) for line in postfix.program.out)
    gate = serve(postfix.url)
    postfix.program.wait_for(asked, before + 1)
    return gate


def send(client: smtplib.SMTP, content: bytes, *recipients: str) -> bytes:
    """One mail that must be accepted; the reply to it."""
    client.ehlo_or_helo_if_needed()
    assert client.mail(SENDER)[0] == 250
    for recipient in recipients or ["you@example.org"]:
        assert client.rcpt(recipient)[0] == 250
    code, text = client.data(content)
    assert code == 250
    return text


def test_a_mail_arrives_and_its_story_is_known(gate: Gate, postfix: Postfix) -> None:
    with gate.client() as client:
        text = send(client, EIGHT_BIT)
    assert b"queued as" in text  # Postfix's own words
    assert body(postfix.delivered(text)) == body(EIGHT_BIT)
    assert gate.logged(ref(text))["outcome"] == "accepted"
    why = gate.command("why", ref(text))
    assert why.returncode == 0
    assert "queued as" in why.stdout


def test_an_unknown_user_is_refused_at_rcpt_in_postfix_own_words(gate: Gate, postfix: Postfix) -> None:
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt("nobody@example.org")
        assert code == 550
        assert text.startswith(b"5.1.1 <nobody@example.org>: Recipient address rejected: User unknown")
        # The others get it all the same, and the story tells of both.
        assert client.rcpt("you@example.org")[0] == 250
        code, accepted = client.data(HELLO)
    assert code == 250
    assert body(postfix.delivered(accepted)) == b"Hello\r\n"
    assert ref(accepted) == ref(text)
    assert gate.logged(ref(text))["to"] == ["nobody@example.org", "you@example.org"]


def test_each_recipient_gets_one(gate: Gate, postfix: Postfix) -> None:
    with gate.client() as client:
        text = send(client, HELLO, "you@example.org", "also@example.org")
    for user in ("you", "also"):
        assert body(postfix.delivered(text, user)) == b"Hello\r\n"


def test_one_connection_serves_many_mails(serve: Callable[..., Gate], postfix: Postfix) -> None:
    def connections() -> int:
        return sum(" connect from " in line for line in postfix.program.out)

    gate = serve_knowing(serve, postfix)
    before = connections()
    for _ in range(3):
        with gate.client() as client:
            postfix.delivered(send(client, HELLO))
    assert connections() == before + 1


def test_a_mail_that_is_too_large_for_postfix_is_refused_with_its_code(gate: Gate) -> None:
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(SENDER, ["you@example.org"], b"Subject: large\r\n\r\n" + b"x" * 4_000_000)
    code, text = refused.value.recipients["you@example.org"]
    assert (code, text[:6]) == (552, b"5.3.4 ")


def test_postfix_stopped_and_started_again(gate: Gate, postfix: Postfix) -> None:
    with gate.client() as client:
        postfix.delivered(send(client, HELLO))
        postfix.stop()
        client.mail(SENDER)
        code, text = client.rcpt("you@example.org")
        assert (code, text[:6]) == (451, b"4.4.1 ")
        client.rset()
        postfix.start()
        assert body(postfix.delivered(send(client, HELLO))) == b"Hello\r\n"


def test_what_the_sender_wants_to_hear_reaches_postfix(serve: Callable[..., Gate], postfix: Postfix) -> None:
    gate = serve_knowing(serve, postfix)
    with gate.client() as client:
        client.ehlo()
        assert {"dsn", "chunking", "8bitmime", "smtputf8", "limits"} <= set(client.esmtp_features)
        assert client.mail(SENDER, ["RET=HDRS", "ENVID=QQ314159"])[0] == 250
        assert client.rcpt("you@example.org", ["NOTIFY=SUCCESS", "ORCPT=rfc822;first+2Btag@example.net"])[0] == 250
        code, text = client.data(HELLO)
    assert code == 250
    queue_id = text.split(b"queued as ")[1].split()[0].decode()
    postfix.program.wait_for(rf"{queue_id}: .*orig_to=<first\+tag@example.net>|{queue_id}: to=.*status=sent")
    postfix.program.wait_for(f"{queue_id}: sender delivery status notification")


def test_a_mail_in_chunks(gate: Gate, postfix: Postfix) -> None:
    content = b"Subject: chunks\r\n\r\nIt works.\r\n.\r\n"
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt("you@example.org")
        for chunk, last in ((content[:20], b""), (content[20:25], b""), (content[25:], b" LAST")):
            client.send(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
            code, text = client.getreply()
            assert code == 250
    assert body(postfix.delivered(text)) == b"It works.\r\n.\r\n"


def test_its_log_has_the_client_that_the_proxy_named_and_our_reference(
    serve: Callable[..., Gate], postfix: Postfix
) -> None:
    """PROXY protocol in, XFORWARD out."""
    gate = serve(postfix.url, config=_CONFIG.replace('{port}"', '{port}"\nproxy_protocol = ["127.0.0.1"]'))
    talk = gate.talk()
    talk.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 25")
    text = deliver(talk)
    line = postfix.program.wait_for(rf"{queue_id(text)}: client=.*orig_client=")
    assert line.endswith(f"orig_queue_id={ref(text)}, orig_client=unknown[192.0.2.7]")
    assert gate.logged(ref(text))["via"] == ["127.0.0.1"]
    assert "192.0.2.7 connected to 127.0.0.1:" in gate.command("why", ref(text)).stdout


def test_it_takes_the_client_for_its_own(serve: Callable[..., Gate], postfix: Postfix) -> None:
    """XCLIENT in, XCLIENT out."""
    config = _CONFIG.replace('timeout = "10s"', 'timeout = "10s"\nxclient = true')
    gate = serve(postfix.url, server='xclient_peers = ["127.0.0.1"]', config=config)
    for address in ("192.0.2.7", "192.0.2.8"):
        talk = gate.talk()
        assert talk.reply().startswith("220 ")
        talk.send(f"XCLIENT NAME=client.example.net ADDR={address} PORT=4711")
        text = deliver(talk)
        line = postfix.program.wait_for(rf"{queue_id(text)}: client=")
        assert line.endswith(f"client=client.example.net[{address}]")
        message = postfix.delivered(text)
        assert f"Received: from client.example.net ([{address}])".encode() in message


def deliver(talk: Talk) -> str:
    """One mail, from the banner on; the reply to it."""
    assert talk.reply().startswith("220 ")
    for command in ("EHLO client.example.net", f"MAIL FROM:<{SENDER}>", "RCPT TO:<you@example.org>"):
        assert talk.ask(command).startswith("250 ")
    assert talk.ask("DATA").startswith("354 ")
    reply = talk.ask("Subject: hello", "", "Hello", ".")
    assert reply.startswith("250 ")
    return reply


def queue_id(reply: str) -> str:
    """Postfix's, in its reply."""
    found = re.search(r"queued as (\w+)", reply)
    assert found, reply
    return found[1]
