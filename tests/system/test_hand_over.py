"""Downstream, client or gate end while a message is being handed over: nothing is lost, nothing comes twice."""

import signal
import smtplib
from collections.abc import Callable

import pytest

from tests.system.gate import Gate, Talk
from tests.system.messages import ref
from tests.system.peers import PlayedDownstream, SmtpSink

MESSAGE = ["Subject: hand-over", "", "Hello", "."]


def send(client: Talk, *commands: str) -> None:
    """Commands that go without saying."""
    for command in commands:
        reply = client.ask(command)
        assert reply[0] in "23", f"{command}: {reply}"


def hand_over(gate: Gate, played: PlayedDownstream) -> tuple[Talk, Talk]:
    """A client that sent its final dot, and the downstream that has the whole message and did not answer yet."""
    client = gate.talk()
    assert client.reply().startswith("220 ")
    send(client, "EHLO client.example.net", "MAIL FROM:<me@example.com>")
    client.send("RCPT TO:<you@example.org>")
    downstream = played.accept()
    for expected in ("MAIL FROM:<me@example.com>", "RCPT TO:<you@example.org>"):
        assert downstream.line() == expected
        downstream.send("250 2.1.0 Ok")
    assert client.reply().startswith("250 ")
    send(client, "DATA")
    client.send(*MESSAGE)
    assert downstream.line() == "DATA"
    downstream.send("354 go on")
    assert downstream.content().endswith(b"Hello\r\n")
    return client, downstream


def test_the_downstream_is_killed(serve: Callable[..., Gate], smtp_sink: SmtpSink) -> None:
    smtp_sink.start("-H", "3600")  # the final reply would come in an hour
    gate = serve(smtp_sink.url)
    client = gate.talk()
    client.reply()
    send(client, "EHLO client.example.net", "MAIL FROM:<me@example.com>", "RCPT TO:<you@example.org>", "DATA")
    client.send(*MESSAGE)
    smtp_sink.program.wait_for("DATA")
    smtp_sink.program.kill()
    reply = client.reply()
    assert reply.startswith("451 4.4.1 ")
    assert gate.logged(ref(reply))["outcome"] == "deferred"
    # The session goes on, and so does the gate: still away, then back.
    send(client, "MAIL FROM:<me@example.com>")
    assert client.ask("RCPT TO:<you@example.org>").startswith("451 4.4.1 ")
    smtp_sink.start()
    # A transaction asks a downstream that is away but once.
    send(client, "RSET", "MAIL FROM:<me@example.com>", "RCPT TO:<you@example.org>", "DATA")
    assert client.ask(*MESSAGE).startswith("250 ")


@pytest.mark.parametrize("leave", [Talk.half_close, Talk.reset], ids=["half-close", "reset"])
def test_the_client_leaves_after_the_final_dot(
    leave: Callable[[Talk], None], serve: Callable[..., Gate], played: PlayedDownstream
) -> None:
    gate = serve(played.url)
    client, downstream = hand_over(gate, played)
    leave(client)
    # Whoever comes next is served meanwhile; then the gate has surely heard that the first one left.
    with gate.client() as another:
        assert another.ehlo()[0] == 250
    downstream.send("250 2.0.0 taken as 4711")
    logged = gate.program.wait_for('"outcome": "accepted"')
    assert "4711" in logged
    if leave is Talk.half_close:  # it can still hear us
        assert client.reply().startswith("250 2.0.0 taken as 4711")
    gate.stop()
    assert not played.has_another()  # nothing was handed over twice


def test_the_client_leaves_in_the_middle_of_its_message(serve: Callable[..., Gate], played: PlayedDownstream) -> None:
    gate = serve(played.url)
    client = gate.talk()
    client.reply()
    send(client, "EHLO client.example.net", "MAIL FROM:<me@example.com>")
    client.send("RCPT TO:<you@example.org>")
    downstream = played.accept()
    for _ in ("MAIL", "RCPT"):
        downstream.line()
        downstream.send("250 2.1.0 Ok")
    client.reply()
    send(client, "DATA")
    client.send(*MESSAGE[:-1])
    client.close()
    assert downstream.line() in ("RSET", "")  # never DATA
    gate.program.wait_for('"outcome": "abandoned"')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_gate_is_told_to_stop(number: signal.Signals, serve: Callable[..., Gate], played: PlayedDownstream) -> None:
    gate = serve(played.url)
    idle = gate.talk()
    idle.reply()
    client, downstream = hand_over(gate, played)
    gate.program.signal(number)
    # Who has no mail under way is told at once, nobody new is let in, the hand-over goes on.
    assert idle.reply().startswith("421 4.3.2 ")
    idle.close()
    with pytest.raises(OSError, match="refused"):
        gate.talk()
    assert gate.program.keeps_running(0.5)
    downstream.send("250 2.0.0 taken")
    assert client.reply().startswith("250 2.0.0 taken")
    client.close()
    gate.ended_well()
    gate.program.wait_for('"outcome": "accepted"')  # the record was written before the end


def test_the_downstream_is_not_there_at_all(serve: Callable[..., Gate], played: PlayedDownstream) -> None:
    played.close()
    gate = serve(played.url)
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail("me@example.com", ["you@example.org"], b"Subject: nobody there\r\n\r\n")
    code, text = refused.value.recipients["you@example.org"]
    assert (code, text[:6]) == (451, b"4.4.1 ")
    assert b"refused" not in text  # what failed is for the record
    why = gate.command("why", ref(text)).stdout
    assert "cannot connect" in why
