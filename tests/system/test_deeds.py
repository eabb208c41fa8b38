"""What rules want done with a message, with a real Postfix or Dovecot behind the gate: what arrives, and with whom."""

import re
from collections.abc import Callable

import pytest

from tests.system.gate import Gate
from tests.system.messages import body, ref
from tests.system.peers import Dovecot, Postfix, in_maildir

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "{relay}"
timeout = "10s"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
mail = ["check_sender_access deeds"]
rcpt = ["reject_unauth_destination"]
end_of_data = [{ rule = "header_checks", table = [
    "/^X-Internal:/ IGNORE",
    "/^Subject: (.*)/ REPLACE Subject: [seen] $1",
    "/^To:/ PREPEND X-To: stands before",
    "/^X-Spam: yes/ REDIRECT also@example.org",
    "/^X-Bill: yes/ BCC also@example.org",
    "/^X-Odd: yes/ HOLD somebody must look",
    "/^X-Worm: yes/ DISCARD",
] }]
[tables.deeds]
"redirect@" = "REDIRECT also@example.org"
"bcc@" = "BCC also@example.org"
"prepend@" = "PREPEND X-Listed: by a table"
"hold@" = "HOLD"
"discard@" = "DISCARD"
"nowhere@" = "REDIRECT nobody@example.org"
"full@" = "BCC little@example.org"
"""


@pytest.fixture(scope="module")
def gate(serve_all: Callable[..., Gate], postfix: Postfix) -> Gate:
    """In front of Postfix."""
    return serve_all(postfix.url, config=_CONFIG)


def send(gate: Gate, sender: str = "me", *fields: str) -> tuple[int, bytes]:
    """One mail for you@example.org; the answer to its end."""
    content = "".join(f"{field}\r\n" for field in (*fields, "Subject: hello", "", "Hello"))
    with gate.client() as client:
        client.ehlo()
        assert client.mail(f"{sender}@example.com")[0] == 250
        assert client.rcpt("you@example.org")[0] == 250
        return client.data(content)


def recipients(postfix: Postfix, text: bytes) -> set[str]:
    """To whom Postfix has delivered the message that the gate's answer is about."""
    found = re.search(r"queued as (\w+)", text.decode())
    assert found, text
    postfix.program.wait_for(rf"\b{found[1]}: removed")
    sent = re.compile(rf"\b{found[1]}: to=<([^>]*)>.* status=sent")
    return {match[1] for match in map(sent.search, postfix.program.out) if match}


@pytest.mark.parametrize(("sender", "fields"), [("redirect", ()), ("me", ("X-Spam: yes",))])
def test_redirected_mail_reaches_one_address_alone(
    gate: Gate, postfix: Postfix, sender: str, fields: tuple[str, ...]
) -> None:
    code, text = send(gate, sender, *fields)
    assert code == 250
    assert recipients(postfix, text) == {"also@example.org"}
    assert body(postfix.delivered(text, "also")) == b"Hello\r\n"
    assert gate.logged(ref(text))["outcome"] == "accepted"


@pytest.mark.parametrize(("sender", "fields"), [("bcc", ()), ("me", ("X-Bill: yes",))])
def test_a_copy_reaches_one_address_more(gate: Gate, postfix: Postfix, sender: str, fields: tuple[str, ...]) -> None:
    code, text = send(gate, sender, *fields)
    assert code == 250
    assert recipients(postfix, text) == {"you@example.org", "also@example.org"}
    first, second = (postfix.delivered(text, user) for user in ("you", "also"))
    assert body(first) == body(second) == b"Hello\r\n"
    assert b"for <you@example.org>;" in second  # what the sender wrote; the copy is told to nobody
    assert b"also@example.org" not in first


def test_header_fields_arrive_as_rules_left_them(gate: Gate, postfix: Postfix) -> None:
    code, text = send(gate, "prepend", "To: you", "X-Internal: a\r\n secret", "X-Other: stays")
    assert code == 250
    assert recipients(postfix, text) == {"you@example.org"}
    header = postfix.delivered(text).partition(b"\r\n\r\n")[0]
    assert header.endswith(b"\r\nX-To: stands before\r\nTo: you\r\nX-Other: stays\r\nSubject: [seen] hello")
    assert header.index(b"X-Listed: by a table\r\n") < header.index(f"id {ref(text)}".encode())
    assert b"secret" not in header


@pytest.mark.parametrize(("sender", "fields"), [("hold", ()), ("me", ("X-Odd: yes",))])
def test_held_mail_arrives_once_it_is_released(
    gate: Gate, postfix: Postfix, sender: str, fields: tuple[str, ...]
) -> None:
    code, text = send(gate, sender, *fields)
    assert (code, text) == (250, f"2.0.0 Ok (ref {ref(text)})".encode())
    (listed,) = gate.command("quarantine", "list").stdout.splitlines()[:1]
    assert f"ref {ref(text)} " in listed
    assert f"HOLD: quarantine: {listed.split()[0]}" in gate.command("why", ref(text)).stdout
    released = gate.command("quarantine", "release", listed.split()[0])
    assert released.returncode == 0, released.stderr
    assert recipients(postfix, released.stdout.encode()) == {"you@example.org"}
    reply = f"{released.stdout} (ref {ref(text)})"
    assert body(postfix.delivered(reply)) == b"Hello\r\n"


@pytest.mark.parametrize(("sender", "fields"), [("discard", ()), ("me", ("X-Worm: yes",))])
def test_discarded_mail_reaches_nobody(gate: Gate, postfix: Postfix, sender: str, fields: tuple[str, ...]) -> None:
    code, text = send(gate, sender, *fields)
    assert (code, text) == (250, f"2.0.0 Ok (ref {ref(text)})".encode())
    assert gate.logged(ref(text))["outcome"] == "discarded"
    messages = [*in_maildir(postfix.mail / "you"), *in_maildir(postfix.mail / "also")]
    assert not any(ref(text).encode() in message for message in messages)


def test_an_address_that_postfix_does_not_know_puts_the_mail_off(gate: Gate) -> None:
    code, text = send(gate, "nowhere")
    assert (code, text[:6]) == (451, b"4.3.0 ")
    assert re.search("RCPT nobody@example.org: 550 .*User unknown", gate.command("why", ref(text)).stdout)


def test_a_copy_that_a_full_mailbox_refuses_puts_the_mail_off_for_all(
    serve_all: Callable[..., Gate], dovecot: Dovecot
) -> None:
    """The client has not named that mailbox: what it says is not for the client, however often."""
    gate = serve_all(dovecot.urls["tcp"], config=_CONFIG)

    def mailboxes() -> list[int]:
        return [len(in_maildir(dovecot.mail / user)) for user in ("you", "little")]

    before = mailboxes()
    for _ in range(2):
        code, text = send(gate, "full", *["X-Filler: " + "0123456789" * 50] * 25)
        assert (code, text[:6]) == (451, b"4.3.0 ")
        assert re.search("RCPT little@example.org: 552 .*Quota exceeded", gate.command("why", ref(text)).stdout)
    assert mailboxes() == before
    assert send(gate, "full")[0] == 250
    assert mailboxes() == [count + 1 for count in before]
