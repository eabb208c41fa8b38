"""Sessions that go wrong: each gets a correct reply, nothing is lost, nobody else is disturbed."""

import pytest

from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.smtp.limits import DialogLimits
from tests.fakes import FakeDownstream
from tests.harness import serving
from tests.smtp.talking import BODY, ENVELOPE, assert_serves, say


async def test_a_command_line_of_64_kilobytes() -> None:
    async with serving() as gate, gate.client() as client:
        await client.reply()
        reply = await client.ask(b"EHLO " + b"x" * 200_000 + b"\r\n")
        assert reply.startswith("500 5.5.2 Line too long (ref ")
        assert await client.ask(b"EHLO " + b"x" * 3000 + b"\r\n") != ""
        assert (await client.ask("NOOP")).startswith("250 ")
        await assert_serves(gate)


async def test_ten_thousand_recipients() -> None:
    limits = DialogLimits(recipients=100)
    async with serving(limits=limits) as gate, gate.client() as client:
        await client.greet()
        await client.ask("MAIL FROM:<me@example.net>")
        replies = []
        for start in range(0, 10_000, 500):
            await client.send(*(f"RCPT TO:<user{number}@example.org>" for number in range(start, start + 500)))
            replies += [await client.reply() for _ in range(500)]
        assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 100 + ["452 4.5.3"] * 9900
        assert (await client.ask("DATA")).startswith("354")
        assert (await client.ask(BODY + b".\r\n")).startswith("250")
        await client.close()
        assert len(gate.downstream.messages[0].recipients) == 100
        [record] = await gate.settled()
        assert record.omitted > 9000
        assert len(record.replies) <= 400


async def test_too_many_sessions() -> None:
    async with serving(limits=DialogLimits(sessions=1)) as gate, gate.client() as first:
        await first.reply()
        async with gate.client() as second:
            assert (await second.reply()).startswith("421 4.3.2 ")
            assert await second.reply() == ""
        assert (await first.ask("NOOP")).startswith("250")


async def test_no_memory_left_for_messages() -> None:
    """Beyond the budget a message is taken in without being kept, and refused for now."""
    async with serving(limits=DialogLimits(message_memory=1000)) as gate, gate.client() as client:
        await client.greet()
        large = b"x" * 70 + b"\r\n"
        replies = await client.deliver("me@example.net", ["you@example.org"], large * 100)
        assert replies[-1].startswith("452 4.3.1 ")
        assert gate.services.memory.held == 0
        replies = await client.deliver("me@example.net", ["you@example.org"], large)
        assert replies[-1].startswith("250 2.0.0 ")


FAILURES = [
    (RuntimeError("secret path /etc/shadow"), "451 4.3.0 "),
    (DownstreamUnavailable("secret host 10.1.2.3 refused"), "451 4.4.1 "),
    (MemoryError("secret"), "451 4.3.0 "),
]


@pytest.mark.parametrize(("trouble", "reply"), FAILURES)
async def test_nothing_internal_on_the_wire(trouble: Exception, reply: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(downstream=FakeDownstream(deliver=trouble)) as gate:
        async with gate.client() as client:
            await client.greet()
            last = (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1]
            assert last.startswith(reply)
            assert "secret" not in last
            gate.downstream.deliver = [RelayReply(250, "2.0.0", "Ok")]
            assert (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
        first, second = await gate.settled()
        assert (first.outcome, second.outcome) == ("deferred", "accepted")


async def test_a_hand_over_that_breaks_leaves_no_connection_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr("smtpgate.smtp.reception.received_field", broken)
    async with serving() as gate, gate.client() as client:
        await client.greet()
        last = (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1]
        assert last.startswith("451 4.3.0 ")
        assert gate.downstream.left_open == 0


async def test_an_exception_in_a_command_ends_only_that_session(caplog: pytest.LogCaptureFixture) -> None:
    broken = {"bad@example.org": RuntimeError("secret")}
    async with serving(downstream=FakeDownstream(recipient=broken)) as gate:
        async with gate.client() as client:
            await client.greet()
            await client.ask("MAIL FROM:<me@example.net>")
            reply = await client.ask("RCPT TO:<bad@example.org>")
            assert reply.startswith("421 4.3.0 Temporary internal error")
            assert await client.reply() == ""
        assert "secret" in caplog.text
        await assert_serves(gate)


async def test_shut_down_lets_a_transaction_finish() -> None:
    async with serving() as gate, gate.client() as busy, gate.client() as idle:
        await say(busy, ENVELOPE)
        await idle.reply()
        gate.services.closing = True
        for connection in list(gate.services.connections):
            connection.shut_down()
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert (await busy.ask("DATA")).startswith("354")
        assert (await busy.ask(BODY + b".\r\n")).startswith("250 2.0.0")
        assert (await busy.reply()).startswith("421 4.3.2 ")
        assert await busy.reply() == ""


async def test_shut_down_does_not_wait_for_a_chunk_that_is_dropped() -> None:
    async with serving() as gate, gate.client() as client:
        await client.greet()
        assert (await client.ask("BDAT 10")).startswith("503 5.5.1 ")
        [connection] = gate.services.connections
        connection.shut_down()
        assert (await client.reply()).startswith("421 4.3.2 ")
        assert await client.reply() == ""


async def test_a_look_up_that_begins_when_its_helo_was_refused_knows_the_name(caplog: pytest.LogCaptureFixture) -> None:
    config = """
delay_reject = false
[phases]
helo = ["reject_invalid_helo_hostname"]
rcpt = ["reject_unauth_destination", "reject_unknown_helo_hostname"]
"""
    async with serving(config) as gate, gate.client() as client:
        await client.reply()
        assert (await client.ask("EHLO -client.example.net")).startswith("501 5.5.2")
        assert (await client.ask("EHLO client.example.net")).startswith("250")
    assert not caplog.records
