"""Clients that take too much, too slowly, too early: each is answered with its code, and the record says why."""

import contextlib

import pytest

from smtpgate.record import Record
from smtpgate.smtp.conduct import STRESS_TIMEOUT
from smtpgate.smtp.limits import DialogLimits
from tests.harness import PLAIN, Client, Gate, serving
from tests.loops import let_pass, until
from tests.smtp.talking import BODY, ENVELOPE, say

TRUSTED = 'mynetworks = ["127.0.0.0/8"]\n[phases]\nrcpt = ["permit_mynetworks", "reject_unauth_destination"]\n'
GATED = '[phases]\nrcpt = ["reject_unauth_pipelining", "reject_unauth_destination"]\n'


def reasons(record: Record) -> list[tuple[str, str]]:
    return [(entry.command, entry.reply[:9]) for entry in record.replies]


async def sent_away(client: Client, start: str) -> None:
    assert (await client.reply()).startswith(start)
    assert await client.reply() == ""


# --- before the banner


async def test_the_pause_catches_who_talks_early() -> None:
    """The pause would last longer than the test: it ends with the first byte."""
    async with serving(GATED, limits=DialogLimits(greet_pause=3600)) as gate, gate.client() as client:
        await client.send("EHLO client.example.net")
        assert (await client.reply()).startswith("220 ")
        await client.reply()
        replies = await client.deliver("me@example.net", ["you@example.org"], BODY)
        assert replies[1].startswith("503 5.5.0 <you@example.org>: Recipient address rejected: Improper use of SMTP")
        await client.close()
        early = (await gate.settled())[-1]
        assert reasons(early)[0] == ("before the banner: EHLO client.example.net", "220 2.0.0")


async def test_an_early_talker_may_be_dropped() -> None:
    limits = DialogLimits(greet_pause=3600, pregreet="drop")
    async with serving(limits=limits) as gate, gate.client() as client:
        await client.send("EHLO spam.example")
        await sent_away(client, "521 5.5.1 Protocol error: input before the banner (ref ")
        [record] = await gate.settled()
        assert (record.outcome, record.decided_by) == ("rejected", "smtpgate")
        assert reasons(record) == [("before the banner: EHLO spam.example", "521 5.5.1")]


async def test_who_waits_is_known_from_then_on() -> None:
    async with serving(limits=DialogLimits(greet_pause=0.02)) as gate:
        async with gate.client() as client:
            assert (await client.reply()).startswith("220 ")
        gate.services.limits = DialogLimits(greet_pause=3600)
        gate.clock.advance(6 * 86400)
        async with gate.client() as client:
            assert (await client.reply()).startswith("220 ")


async def test_who_hangs_up_in_the_pause_is_not_known() -> None:
    async with serving(limits=DialogLimits(greet_pause=3600)) as gate:
        async with gate.client() as client:
            client.writer.write_eof()
            await client.reply()
        await gate.settled()
        assert not gate.services.acquaintances.knows(b"4/7f000001", gate.clock())


async def test_mynetworks_do_not_wait() -> None:
    async with serving(TRUSTED, limits=DialogLimits(greet_pause=3600)) as gate, gate.client() as client:
        assert (await client.reply()).startswith("220 ")


# --- mistakes


async def test_replies_to_mistakes_are_delayed() -> None:
    """Others are served meanwhile."""
    limits = DialogLimits(soft_error_limit=1, error_delay=3600)
    async with serving(limits=limits) as gate, gate.client() as client:
        await client.greet()
        assert (await client.ask("FROB")).startswith("500 ")
        await client.send("FROB")
        async with gate.client() as other:
            await other.greet()
            assert (await other.deliver("a@example.net", ["b@example.org"], BODY))[-1].startswith("250 ")
        await let_pass(3599)
        assert not client.reader._buffer  # type: ignore[attr-defined]
        await let_pass(1)
        assert (await client.reply()).startswith("500 ")


async def test_a_refused_message_is_a_mistake() -> None:
    limits = DialogLimits(hard_error_limit=2)
    async with serving(limits=limits) as gate, gate.client() as client:
        await client.greet()
        for _ in range(2):
            replies = await client.deliver("me@example.net", ["you@example.org"], b"bare\nline end\r\n")
            assert replies[-1].startswith("550 5.5.2 ")
        await sent_away(client, "421 4.7.0 Too many errors")


async def test_not_smtp_is_in_the_record() -> None:
    async with serving() as gate, gate.client() as client:
        await client.reply()
        await client.send("GET / HTTP/1.1", "Host: mx.example.org")
        await sent_away(client, "221 2.7.0 ")
        [record] = await gate.settled()
        assert (record.outcome, record.decided_by) == ("rejected", "smtpgate")
        assert reasons(record) == [("GET / HTTP/1.1", "221 2.7.0")]


# --- shares of a client network


async def test_connections_of_one_network() -> None:
    async with serving(limits=DialogLimits(client_connections=2)) as gate, gate.client() as first, gate.client() as two:
        await first.greet()
        await two.greet()
        async with gate.client() as third:
            await sent_away(third, "421 4.7.0 Too many connections from your network")
        async with gate.client(local="127.0.0.2") as neighbour:
            assert (await neighbour.reply()).startswith("220 ")
        await first.close()
        await until(lambda: len(gate.services.connections) == 1)
        async with gate.client() as fourth:
            assert (await fourth.reply()).startswith("220 ")
        [record] = gate.records
        assert (record.outcome, record.decided_by) == ("deferred", "smtpgate")
        assert reasons(record) == [("connect", "421 4.7.0")]


async def test_the_prefix_says_who_is_one_network() -> None:
    limits = DialogLimits(client_connections=1, ipv4_prefix=24)
    async with serving(limits=limits) as gate, gate.client() as first:
        await first.greet()
        async with gate.client(local="127.0.0.2") as neighbour:
            await sent_away(neighbour, "421 4.7.0 ")
        async with gate.client(local="127.0.1.1") as stranger:
            assert (await stranger.reply()).startswith("220 ")


async def test_new_connections_a_minute() -> None:
    async with serving(limits=DialogLimits(client_connection_rate=2)) as gate:
        for _ in range(2):
            async with gate.client() as client:
                assert (await client.reply()).startswith("220 ")
        async with gate.client() as client:
            await sent_away(client, "421 4.7.0 Too many connections from your network in one minute")
        gate.clock.advance(60)
        async with gate.client() as client:
            assert (await client.reply()).startswith("220 ")


async def test_messages_a_minute() -> None:
    async with serving(limits=DialogLimits(client_message_rate=2)) as gate, gate.client() as client:
        await client.greet()
        for _ in range(2):
            assert (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
        assert (await client.ask("MAIL FROM:<me@example.net>")).startswith("450 4.7.1 Too many messages")
        assert (await client.ask("RCPT TO:<you@example.org>")).startswith("503 ")
        gate.clock.advance(60)
        assert (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
        await client.close()
        records = await gate.settled()
        assert ("MAIL FROM:<me@example.net>", "450 4.7.1") in reasons(records[-1])


async def test_recipients_a_minute() -> None:
    async with serving(limits=DialogLimits(client_recipient_rate=2)) as gate, gate.client() as client:
        await client.greet()
        replies = await client.deliver("me@example.net", [f"{name}@example.org" for name in "abc"], BODY)
        assert [reply[:9] for reply in replies] == [
            "250 2.1.0", "250 2.1.5", "250 2.1.5", "450 4.7.1", "354 End d", "250 2.0.0",
        ]  # fmt: skip
        assert gate.downstream.messages[0].recipients == ("a@example.org", "b@example.org")
        replies = await client.deliver("me@example.net", ["d@example.org"], BODY)
        assert [reply[:9] for reply in replies] == ["250 2.1.0", "450 4.7.1", "554 5.5.1"]
        await client.close()
        assert [record.outcome for record in await gate.settled()] == ["accepted", "deferred"]


async def test_mynetworks_have_no_share() -> None:
    limits = DialogLimits(
        client_connections=1, client_connection_rate=1, client_message_rate=1, client_recipient_rate=1
    )
    async with serving(TRUSTED, limits=limits) as gate, gate.client() as first, gate.client() as second:
        await first.greet()
        await second.greet()
        for _ in range(2):
            assert (await second.deliver("a@example.net", ["b@example.org"] * 2, BODY))[-1].startswith("250 ")


# --- time


async def test_a_message_that_drips_is_cut() -> None:
    """Each byte comes in time, the message would take for ever."""
    async with serving() as gate, gate.client() as client:
        await say(client, [*ENVELOPE, "DATA"])
        for _ in range(2):
            await client.send(b"x")
            await until(lambda: not has_bytes(gate))
            gate.clock.advance(200)
        await client.send(b"x")
        await sent_away(client, "421 4.4.2 The message comes too slowly")
        [record] = await gate.settled()
        assert record.outcome == "deferred"
        assert reasons(record)[-1] == ("slow message", "421 4.4.2")
        assert gate.downstream.messages == []
        assert gate.services.memory.held == 0


async def test_each_message_has_its_own_time() -> None:
    async with serving() as gate, gate.client() as client:
        await client.greet()
        for _ in range(5):
            replies = [await client.ask(line) for line in (*ENVELOPE[1:], "DATA")]
            gate.clock.advance(200)
            replies.append(await client.ask(BODY + b".\r\n"))
            assert replies[-1].startswith("250 ")


async def test_a_session_without_a_message_ends() -> None:
    async with serving(limits=DialogLimits(session_timeout=1000)) as gate, gate.client() as client:
        await client.greet()
        for _ in range(4):
            gate.clock.advance(250)
            assert (await client.ask("NOOP")).startswith("250 ")
        gate.clock.advance(1)
        await client.send("NOOP")
        assert (await client.reply()).startswith("250 ")
        await sent_away(client, "421 4.4.2 Session lasts too long without a message")


async def test_a_session_that_delivers_goes_on() -> None:
    async with serving(limits=DialogLimits(session_timeout=1000)) as gate, gate.client() as client:
        await client.greet()
        for _ in range(5):
            gate.clock.advance(900)
            assert (await client.deliver("a@example.net", ["b@example.org"], BODY))[-1].startswith("250 ")


# --- when sessions run out


async def test_an_idle_session_makes_room() -> None:
    async with serving(limits=DialogLimits(sessions=2)) as gate, gate.client() as idle, gate.client() as busy:
        await idle.greet()
        await say(busy, ENVELOPE)
        gate.clock.advance(3)
        async with gate.client() as newcomer:
            assert (await newcomer.reply()).startswith("220 ")
            await sent_away(idle, "421 4.3.2 ")
            replies = [await busy.ask("DATA"), await busy.ask(BODY + b".\r\n")]
            assert replies[-1].startswith("250 ")


async def test_nobody_in_a_transaction_makes_room() -> None:
    async with serving(limits=DialogLimits(sessions=1)) as gate, gate.client() as busy:
        await say(busy, ENVELOPE)
        gate.clock.advance(3600)
        async with gate.client() as newcomer:
            await sent_away(newcomer, "421 4.3.2 ")
        assert (await busy.ask("DATA")).startswith("354 ")


@pytest.mark.parametrize(("config", "ends"), [(PLAIN, True), (TRUSTED, False)])
async def test_under_stress_one_mistake_is_enough(config: str, ends: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gate: Gate = await stack.enter_async_context(serving(config, limits=DialogLimits(sessions=2)))
        client = await stack.enter_async_context(gate.client())
        await stack.enter_async_context(gate.client())
        await client.greet()
        await until(lambda: gate.services.room.stress)
        assert (await client.ask("FROB")).startswith("500 ")
        if ends:
            await sent_away(client, "421 4.7.0 ")
        else:
            assert (await client.ask("NOOP")).startswith("250 ")


async def test_under_stress_a_transaction_is_not_disturbed() -> None:
    async with serving(limits=DialogLimits(sessions=2)) as gate, gate.client() as client, gate.client():
        await until(lambda: gate.services.room.stress)
        await client.greet()
        replies = await client.deliver("me@example.net", ["you@elsewhere.example", "you@example.org"], BODY)
        assert [reply[:3] for reply in replies] == ["250", "554", "250", "354", "250"]
        assert (await client.ask("QUIT")).startswith("221 ")


async def test_under_stress_the_silent_are_sent_away_sooner() -> None:
    async with serving(limits=DialogLimits(sessions=2)) as gate, gate.client() as idle:
        await idle.greet()
        async with gate.client() as busy:  # stress begins with it
            await say(busy, ENVELOPE)
            await let_pass(STRESS_TIMEOUT)
            await sent_away(idle, "421 4.4.2 ")


async def test_under_stress_newcomers_have_less_time_too() -> None:
    async with serving(limits=DialogLimits(sessions=2)) as gate, gate.client() as busy:
        await say(busy, ENVELOPE)
        async with gate.client() as newcomer:
            assert (await newcomer.reply()).startswith("220 ")
            await let_pass(STRESS_TIMEOUT)
            await sent_away(newcomer, "421 4.4.2 ")
        assert (await busy.ask("DATA")).startswith("354 ")


def has_bytes(gate: Gate) -> bool:
    return any(connection.more_is_there() for connection in gate.services.connections)
