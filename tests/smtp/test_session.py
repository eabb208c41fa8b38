"""Sessions that go wrong: each gets a correct reply, nothing is lost, nobody else is disturbed."""

import asyncio
import socket
import struct

import pytest

from smtpgate.mailauth.message import Message
from smtpgate.record import Record
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.smtp.limits import DialogLimits
from tests.fakes import FakeDns, FakeDownstream
from tests.harness import PATIENCE, Client, Gate, serving

BODY = b"Subject: hello\r\n\r\nIt works.\r\n"
GREETING = ["EHLO client.example.net"]
ENVELOPE = [*GREETING, "MAIL FROM:<me@example.net>", "RCPT TO:<you@example.org>"]


async def assert_serves(gate: Gate) -> None:
    """Another client gets its mail through."""
    before = len(gate.downstream.messages)
    async with gate.client() as client:
        await client.greet()
        assert (await client.deliver("a@example.net", ["b@example.org"], BODY))[-1].startswith("250 ")
    assert len(gate.downstream.messages) == before + 1


async def say(client: Client, lines: list[str]) -> None:
    await client.reply()
    for line in lines:
        await client.ask(line)


def reset(client: Client) -> None:
    """Close with RST instead of FIN."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


HANGUPS: dict[str, list[str | bytes]] = {
    "before the banner": [],
    "after EHLO": [*GREETING],
    "after MAIL": [*ENVELOPE[:2]],
    "after RCPT": [*ENVELOPE],
    "after DATA": [*ENVELOPE, "DATA"],
}


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("after", HANGUPS)
async def test_the_client_hangs_up(after: str, how: str) -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await say(client, [str(line) for line in HANGUPS[after]])
            if after == "after DATA":
                await client.send(b"Subject: unfinished\r\n\r\nnever e")
            if how == "rst":
                reset(client)
        records = await gate.settled()
        assert gate.downstream.messages == []
        assert [record.outcome for record in records] == (["abandoned"] if "MAIL" in str(HANGUPS[after]) else [])
        assert gate.services.memory.held == 0
        await assert_serves(gate)


@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
async def test_the_client_hangs_up_after_the_final_dot(how: str) -> None:
    """From the hand-over on nothing cancels it: it arrives once, and the record says so."""
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    async with serving(downstream=downstream) as gate:
        async with gate.client() as client:
            await say(client, [*ENVELOPE, "DATA"])
            await client.send(BODY + b".\r\n")
            await downstream.delivering.wait()
            if how == "half-close":
                client.writer.write_eof()
                gate_open.set()
                assert (await client.reply()).startswith("250 2.0.0")
                assert await client.reply() == ""
            elif how == "rst":
                reset(client)
        gate_open.set()
        records = await gate.settled()
        assert len(downstream.messages) == 1
        assert [record.outcome for record in records] == ["accepted"]
        assert gate.services.memory.held == 0


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


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with serving(limits=DialogLimits(command_timeout=0.05)) as gate, gate.client() as client:
        await client.reply()
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        [record] = await gate.settled()
        assert record.outcome == "deferred"


async def test_slow_data_is_cut_with_a_reply() -> None:
    async with serving(limits=DialogLimits(command_timeout=0.05)) as gate, gate.client() as client:
        await say(client, [*ENVELOPE, "DATA"])
        await client.send(b"Subject: slow")
        assert (await client.reply()).startswith("421 4.4.2 ")
        assert await client.reply() == ""
        await gate.settled()
        assert gate.downstream.messages == []


async def test_a_slow_downstream_is_no_idle_client() -> None:
    """The time-out is for the client: a handler may take longer."""
    gate_open = asyncio.Event()
    downstream = FakeDownstream(gate=gate_open)
    limits = DialogLimits(command_timeout=0.05)
    async with serving(downstream=downstream, limits=limits) as gate, gate.client() as client:
        await say(client, [*ENVELOPE, "DATA"])
        await client.send(BODY + b".\r\n")
        await downstream.delivering.wait()
        asyncio.get_running_loop().call_later(0.2, gate_open.set)
        assert (await client.reply()).startswith("250 2.0.0")


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


async def test_a_client_that_never_reads_is_ended() -> None:
    """Its replies pile up within the socket's bounds only, then the time-out ends it."""
    async with serving(limits=DialogLimits(command_timeout=0.1, junk_command_limit=10**9)) as gate:
        async with gate.client() as client:
            await client.reply()
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            (connection,) = gate.services.connections
            # The kernel takes megabytes otherwise.
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(ConnectionError):
                    await _talk_for_ever(client)
        await gate.settled()
        await assert_serves(gate)


async def _talk_for_ever(client: Client) -> None:
    while True:
        await client.send(b"NOOP\r\n" * 5000)


async def test_the_message_goes_out_as_it_came_in() -> None:
    content = b"Subject: hello\r\nX: " + b"y" * 5000 + b"\r\n\r\n" + bytes(range(14, 256)) + b"\r\n..dot\r\n.\r\n \r\n"
    wire = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    async with serving() as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["you@example.org"], wire)
        [message] = gate.downstream.messages
        fields = message.content[: -len(content)]
        assert message.content.endswith(content)
        assert fields.startswith(b"Received: from client.example.net ([127.0.0.1])\r\n\tby mx.example.org (smtpgate)")
        assert b"with ESMTP id " in fields
        assert b"for <you@example.org>;" in fields


async def test_several_recipients_are_not_named() -> None:
    async with serving() as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["you@example.org", "them@example.org"], BODY)
        assert b"them@" not in gate.downstream.messages[0].content


async def test_forged_results_are_removed() -> None:
    forged = b"Authentication-Results: mx.example.org; spf=pass\r\n"
    other = b"Authentication-Results: elsewhere.example; spf=pass\r\n"
    async with serving() as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["you@example.org"], forged + other + BODY)
        content = gate.downstream.messages[0].content
        assert forged not in content
        assert content.endswith(other + BODY)


@pytest.mark.parametrize(("hops", "reply"), [(50, "250 2.0.0"), (51, "554 5.4.0")])
async def test_hops(hops: int, reply: str) -> None:
    async with serving() as gate, gate.client() as client:
        await client.greet()
        replies = await client.deliver("me@example.net", ["you@example.org"], b"Received: x\r\n" * hops + BODY)
        assert replies[-1].startswith(reply)


HEADERS = [
    (b"A: b\r\n" * 4990, "250 2.0.0"),
    (b"A: b\r\n" * 5001, "552 5.3.4"),
    (b"A: " + b"b" * 200_000 + b"\r\n", "250 2.0.0"),
    (b"A: " + b"b" * 300_000 + b"\r\n", "552 5.3.4"),
    (b"no header field\r\n" * 6000, "552 5.3.4"),
]


@pytest.mark.parametrize(("header", "reply"), HEADERS)
async def test_the_header_is_bounded(header: bytes, reply: str) -> None:
    """The body is not: its lines cost nothing."""
    async with serving() as gate, gate.client() as client:
        await client.greet()
        body = b"\r\n" + b"line\r\n" * 20_000
        replies = await client.deliver("me@example.net", ["you@example.org"], header + body)
        assert replies[-1].startswith(reply)


async def test_results_of_enforced_checks_go_into_the_header() -> None:
    config = """
[phases]
mail = [{ rule = "check_spf", fail = "tag" }]
rcpt = ["reject_unauth_destination"]
"""
    dns = FakeDns(TXT={"example.net": ["v=spf1 -all"]})
    async with serving(config, dns=dns) as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["you@example.org"], BODY)
        names = [field.name for field in Message(gate.downstream.messages[0].content).fields]
        assert names[:3] == [b"authentication-results", b"received-spf", b"received"]
        assert b"spf=fail" in gate.downstream.messages[0].content


async def test_the_record_of_a_mixed_transaction() -> None:
    downstream = FakeDownstream(recipient={"unknown@example.org": RelayReply(550, "5.1.1", "No such user")})
    async with serving(downstream=downstream) as gate:
        async with gate.client() as client:
            await client.greet()
            replies = await client.deliver("me@example.net", ["unknown@example.org", "you@example.org"], BODY)
        [record] = await gate.settled()
        assert record.ref in replies[1]
        assert record.ref in replies[-1]
        assert record.outcome == "accepted"
        assert record.recipients == ["unknown@example.org", "you@example.org"]
        assert [entry.command for entry in record.replies] == [
            "RCPT unknown@example.org", "RCPT you@example.org", "end of data",
        ]  # fmt: skip
        assert [entry.command for entry in record.relay] == [
            "RCPT unknown@example.org", "RCPT you@example.org", "end of data",
        ]  # fmt: skip
        assert record.size == len(BODY)


OUTCOMES = [
    ("RCPT TO:<you@elsewhere.example>", "rejected", "reject_unauth_destination"),
    ("RCPT TO:<unknown@example.org>", "rejected", "downstream"),
    ("RCPT TO:<full@example.org>", "deferred", "downstream"),
    ("RCPT TO:<you@example.org>", "abandoned", None),
]


@pytest.mark.parametrize(("command", "outcome", "decided_by"), OUTCOMES)
async def test_the_record_of_a_transaction_that_ends_at_rcpt(
    command: str, outcome: str, decided_by: str | None
) -> None:
    answers = {
        "unknown@example.org": RelayReply(550, "5.1.1", "No such user"),
        "full@example.org": RelayReply(452, "4.2.2", "Full"),
    }
    async with serving(downstream=FakeDownstream(recipient=answers)) as gate:
        async with gate.client() as client:
            await say(client, [*ENVELOPE[:2], command, "QUIT"])
        [record] = await gate.settled()
        assert (record.outcome, record.decided_by) == (outcome, decided_by)


async def test_mistakes_outside_of_a_transaction_have_a_record_too() -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await client.reply()
            reply = await client.ask("FROB")
        [record] = await gate.settled()
        assert record.ref in reply
        assert [(entry.command, entry.reply[:9]) for entry in record.replies] == [("FROB", "500 5.5.2")]


async def test_two_messages_have_two_records() -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await client.greet()
            for _ in range(2):
                await client.deliver("me@example.net", ["you@example.org"], BODY)
        records: list[Record] = await gate.settled()
        assert len({record.ref for record in records}) == 2


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
