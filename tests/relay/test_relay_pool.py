"""Which connection a transaction gets."""

import asyncio

import pytest

from smtpgate.relay.downstream import DownstreamUnavailable
from tests.loops import let_pass
from tests.relay.scripted import CLOSE, EHLO, HANG, scripted
from tests.relay.sending import CONTENT, ENVELOPE, OK, QUEUED, downstream_of, send


async def test_one_connection_serves_many_transactions_without_rset():
    async with scripted() as server:
        downstream = downstream_of(server)
        for _ in range(3):
            assert await send(downstream) == [QUEUED]
    assert server.connections == 1
    assert server.verbs() == ["EHLO"] + ["MAIL", "RCPT", "DATA"] * 3


async def test_the_most_recently_used_goes_first():
    async with scripted() as server:
        downstream = downstream_of(server)
        first, second = downstream.begin(ENVELOPE), downstream.begin(ENVELOPE)
        for delivery in (first, second):
            await delivery.recipient("b@x")
        used = [first._connection, second._connection]
        await second.abandon()
        await first.abandon()
        third = downstream.begin(ENVELOPE)
        await third.recipient("b@x")
        assert third._connection is used[0]
        assert server.connections == 2


async def test_an_abandoned_transaction_is_reset_and_its_connection_kept():
    async with scripted() as server:
        downstream = downstream_of(server)
        delivery = downstream.begin(ENVELOPE)
        await delivery.recipient("b@x")
        await delivery.abandon()
        await delivery.abandon()  # twice does no harm
        assert await send(downstream) == [QUEUED]
        assert server.connections == 1
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


async def test_abandoning_what_never_began_connects_nowhere():
    async with scripted() as server:
        await downstream_of(server).begin(ENVELOPE).abandon()
        assert server.connections == 0


@pytest.mark.parametrize(
    "answer", [CLOSE, b"421 4.3.2 Bye\r\n", b"nonsense\r\n", b"354 What?\r\n", b"450 4.3.0 Not now\r\n"]
)
async def test_a_failed_rset_raises_nothing_and_closes(answer):
    async with scripted({"RSET": answer}) as server:
        downstream = downstream_of(server)
        delivery = downstream.begin(ENVELOPE)
        await delivery.recipient("b@x")
        await delivery.abandon()
        assert not downstream._pool._open


async def test_a_reset_that_hangs_holds_nobody_up():
    async with scripted({"RSET": HANG}) as server:
        downstream = downstream_of(server)
        delivery = downstream.begin(ENVELOPE)
        await delivery.recipient("b@x")
        abandoning = asyncio.create_task(delivery.abandon())
        await server.reached.wait()
        await let_pass(60)
        await abandoning
        assert not downstream._pool._open


@pytest.mark.parametrize("answer", [CLOSE, b"421 4.4.2 Timed out\r\n"])
async def test_a_pooled_connection_found_dead_is_replaced_once(answer):
    async with scripted({"MAIL": [b"250 Ok\r\n", answer, b"250 Ok\r\n"]}) as server:
        downstream = downstream_of(server)
        assert await send(downstream) == [QUEUED]
        assert await send(downstream) == [QUEUED]
        assert server.connections == 2
        assert len(server.contents) == 2


async def test_the_replacement_is_not_replaced():
    async with scripted({"MAIL": [b"250 Ok\r\n", CLOSE]}) as server:
        downstream = downstream_of(server)
        assert await send(downstream) == [QUEUED]
        with pytest.raises(DownstreamUnavailable):
            await downstream.begin(ENVELOPE).recipient("b@x")
        assert server.connections == 2


@pytest.mark.parametrize("verb", ["RCPT", "DATA", "dot"])
async def test_a_connection_that_dies_after_an_answer_is_not_replaced(verb):
    async with scripted({verb: [b"354 Go\r\n" if verb == "DATA" else b"250 Ok\r\n", CLOSE]}) as server:
        downstream = downstream_of(server)
        await send(downstream)
        with pytest.raises(DownstreamUnavailable):
            await send(downstream)
        assert server.connections == 1


async def test_a_hanging_pooled_connection_is_not_replaced():
    async with scripted({"MAIL": [b"250 Ok\r\n", HANG]}) as server:
        downstream = downstream_of(server)
        await send(downstream)
        asking = asyncio.create_task(downstream.begin(ENVELOPE).recipient("b@x"))
        await server.reached.wait()
        await let_pass(60)
        with pytest.raises(DownstreamUnavailable, match="in time"):
            await asking
        assert server.connections == 1


class Watching:
    """Tells when a pool forgot a connection."""

    def __init__(self, downstream) -> None:
        self.forgotten = asyncio.Event()
        forget = downstream._pool._forget

        def watched(connection) -> None:
            forget(connection)
            self.forgotten.set()

        downstream._pool._forget = watched


@pytest.mark.parametrize("farewell", [b"", b"421 4.4.2 Timed out\r\n", b"250 What?\r\n"])
async def test_a_connection_that_ends_while_idle_is_dropped_at_once(farewell):
    async with scripted() as server:
        downstream = downstream_of(server)
        watching = Watching(downstream)
        await send(downstream)
        server.writers[0].write(farewell)
        if not farewell:
            server.writers[0].close()
        await watching.forgotten.wait()
        assert not downstream._pool._idle
        assert not downstream._pool._open


async def test_an_idle_connection_is_closed_when_its_time_is_up():
    async with scripted() as server:
        downstream = downstream_of(server, idle_time=0.05)
        assert await send(downstream) == [QUEUED]
        await server.gone[0].wait()
        assert not downstream._pool._open
    assert server.verbs()[-1] == "QUIT"


async def test_no_more_connections_than_allowed():
    async with scripted() as server:
        downstream = downstream_of(server, connections=2)
        deliveries = [downstream.begin(ENVELOPE) for _ in range(3)]
        answers = await asyncio.gather(*(d.recipient("b@x") for d in deliveries), return_exceptions=True)
        assert answers[:2] == [OK, OK]
        assert isinstance(answers[2], DownstreamUnavailable)
        with pytest.raises(DownstreamUnavailable, match="too many"):
            await deliveries[2].recipient("b@x")
        await deliveries[0].abandon()
        assert await deliveries[2].recipient("b@x") == OK  # there is room again
        assert server.connections == 2


async def test_failed_connections_do_not_use_up_the_allowance():
    script = {"greeting": [CLOSE, b"554 No\r\n", b"220 Yes\r\n"], "EHLO": [EHLO + b"421 And bye\r\n", EHLO]}
    async with scripted(script) as server:
        downstream = downstream_of(server, connections=1)
        for _ in range(3):
            with pytest.raises(DownstreamUnavailable, match=r"clos|554|421"):
                await send(downstream)
        assert await send(downstream) == [QUEUED]


async def test_no_more_idle_connections_than_allowed():
    async with scripted() as server:
        downstream = downstream_of(server, idle=1)
        deliveries = [downstream.begin(ENVELOPE) for _ in range(3)]
        for delivery in deliveries:
            await delivery.recipient("b@x")
        for delivery in deliveries:
            await delivery.deliver(CONTENT)
        assert len(downstream._pool._open) == 1
        await server.gone[1].wait()
        await server.gone[2].wait()
        assert not server.gone[0].is_set()


async def test_close_ends_idle_connections_now_and_busy_ones_after_their_work():
    async with scripted() as server:
        downstream = downstream_of(server)
        busy = downstream.begin(ENVELOPE)
        await busy.recipient("b@x")
        await send(downstream)
        await downstream.close()
        await server.gone[1].wait()
        assert not server.gone[0].is_set()
        assert await busy.deliver(CONTENT) == [QUEUED]
        await server.gone[0].wait()
