"""Several servers for the same mail: which one gets it, and when one that failed is asked again."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.relay.downstream import DownstreamUnavailable, RcptParameters, RelayReply
from smtpgate.relay.failover import FIRST_PAUSE, LONGEST_PAUSE, MOST_ATTEMPTS, ONE_MORE_AFTER, FailoverDownstream
from smtpgate.relay.pool import TooManyConnections
from smtpgate.relay.routing import RoutingDownstream
from smtpgate.relay.wire import Unsendable
from tests.fakes import Clock, FakeDownstream
from tests.relay.scripted import CLOSE, scripted
from tests.relay.sending import CONTENT, ENVELOPE, OK, QUEUED, downstream_of, send


class FakeServer(FakeDownstream):
    """A server that is up or down as the test wants. gate: recipients wait for it. begun: transactions tried."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.down: Exception | None = None
        self.waits: asyncio.Event | None = None
        self.begun = 0

    def begin(self, envelope):
        self.begun += 1
        delivery, offered = super().begin(envelope), self
        put = delivery.recipient

        async def recipient(*arguments):
            if offered.waits is not None:
                await offered.waits.wait()
            if offered.down is not None:
                raise offered.down
            return await put(*arguments)

        delivery.recipient = recipient
        return delivery

    def connections(self):
        return 0, 0


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_all_honour_requiretls_or_none(clock, first, second):
    downstream = several(clock, FakeServer(requiretls=first), FakeServer(requiretls=second))
    assert downstream.requiretls is (first and second)
    assert RoutingDownstream(downstream, {"x": FakeDownstream(requiretls=True)}).requiretls is (first and second)


@pytest.fixture
def clock():
    return Clock()


def several(clock, *servers):
    named = [(f"s{number}", server) for number, server in enumerate(servers)]
    return FailoverDownstream(named, clock=clock, random=lambda: 0.0)


def states(downstream):
    return [health.state for health in downstream.health()]


GONE = DownstreamUnavailable("gone")


async def test_the_first_one_gets_everything_as_long_as_it_works(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    for _ in range(3):
        assert await send(downstream) == [RelayReply(250, "2.0.0", "Ok")]
    assert (len(first.messages), second.begun) == (3, 0)
    [health, _] = downstream.health()
    assert (health.name, health.state, health.delivered, health.failures) == ("s0", "up", 3, 0)


async def test_the_next_one_takes_over_and_gives_back(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    first.down = GONE
    await send(downstream)
    await send(downstream)
    assert (first.begun, len(second.messages)) == (1, 2)  # it was put aside
    assert states(downstream) == ["aside", "up"]
    assert downstream.health()[0].last_error == "gone"
    clock.advance(FIRST_PAUSE)
    await send(downstream)  # it is tried again, in vain
    assert (first.begun, len(second.messages)) == (2, 3)
    clock.advance(2 * FIRST_PAUSE - 0.01)
    await send(downstream)
    assert first.begun == 2  # the pause has grown
    clock.advance(0.01)
    first.down = None
    await send(downstream)
    await send(downstream)
    assert (len(first.messages), len(second.messages)) == (2, 4)
    assert states(downstream) == ["up", "up"]


async def test_pauses_grow_to_their_limit_and_start_anew(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    pauses = []
    first.down = GONE
    await send(downstream)
    for _ in range(9):
        began = first.begun
        pauses.append(0)
        while first.begun == began:
            clock.advance(1)
            pauses[-1] += 1
            await send(downstream)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, LONGEST_PAUSE]
    first.down = None
    clock.advance(LONGEST_PAUSE)
    await send(downstream)
    first.down = GONE
    await send(downstream)
    clock.advance(FIRST_PAUSE)
    began = first.begun
    await send(downstream)
    assert first.begun == began + 1


@given(st.floats(0, 1))
def test_the_pause_is_a_little_shorter_for_some(drawn):
    async def first_trial() -> float:
        clock = Clock()
        first, second = FakeServer(), FakeServer()
        downstream = FailoverDownstream([("s0", first), ("s1", second)], clock=clock, random=lambda: drawn)
        first.down = GONE
        await send(downstream)
        began = clock.now
        while first.begun == 1:
            clock.advance(0.01)
            await send(downstream)
        return clock.now - began

    assert 0.74 * FIRST_PAUSE <= asyncio.run(first_trial()) <= 1.02 * FIRST_PAUSE


async def test_one_transaction_tries_and_the_others_do_not_wait_for_it(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    first.down = GONE
    await send(downstream)
    clock.advance(FIRST_PAUSE)
    first.waits = asyncio.Event()
    trial = asyncio.create_task(send(downstream))
    await asyncio.sleep(0)
    assert states(downstream)[0] == "probing"
    await send(downstream)
    assert (first.begun, len(second.messages)) == (2, 2)
    first.down = None
    first.waits.set()
    await trial
    assert states(downstream)[0] == "up"
    assert len(first.messages) == 1


async def test_a_trial_that_is_given_up_is_made_by_the_next(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    first.down = GONE
    await send(downstream)
    clock.advance(FIRST_PAUSE)
    first.waits = asyncio.Event()
    trial = asyncio.create_task(send(downstream))
    await asyncio.sleep(0)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    first.waits, first.down = None, None
    await send(downstream)
    assert len(first.messages) == 1


async def test_many_that_fail_at_once_count_as_one(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    first.down, first.waits = GONE, asyncio.Event()
    work = [asyncio.create_task(send(downstream)) for _ in range(20)]
    await asyncio.sleep(0)
    first.waits.set()
    await asyncio.gather(*work)
    assert (len(second.messages), downstream.health()[0].failures) == (20, 20)
    clock.advance(FIRST_PAUSE)
    first.down = None
    await send(downstream)
    assert len(first.messages) == 1


async def test_when_all_are_down_all_are_tried_and_none_is_waited_for(clock):
    servers = [FakeServer(), FakeServer()]
    downstream = several(clock, *servers)
    for server in servers:
        server.down = GONE
    for attempts in (1, 2, 3):
        with pytest.raises(DownstreamUnavailable, match="s0: gone; s1: gone"):
            await send(downstream)
        assert [server.begun for server in servers] == [attempts, attempts]
    servers[1].down = None
    await send(downstream)
    assert states(downstream) == ["aside", "up"]


async def test_a_single_server_is_always_tried(clock, caplog):
    only = FakeServer()
    downstream = several(clock, only)
    only.down = GONE
    with caplog.at_level(logging.WARNING), pytest.raises(DownstreamUnavailable):
        await send(downstream)
    only.down = None
    await send(downstream)
    assert [record.getMessage() for record in caplog.records] == ["s0 fails: gone", "s0 answers again"]
    assert states(downstream) == ["up"]


async def test_who_is_down_and_silent_has_few_wait_for_it_and_all_when_it_answers(clock):
    only = FakeServer()
    downstream = several(clock, only)
    only.down = GONE
    with pytest.raises(DownstreamUnavailable):
        await send(downstream)
    only.waits = asyncio.Event()
    waiting = [asyncio.create_task(send(downstream)) for _ in range(MOST_ATTEMPTS)]
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(DownstreamUnavailable, match="s0: gone"):
            await send(downstream)
    assert only.begun == 1 + MOST_ATTEMPTS
    silence, only.waits, only.down = only.waits, None, None
    clock.advance(ONE_MORE_AFTER)
    await send(downstream)  # it is there again, though those attempts will never hear it
    assert states(downstream) == ["up"]
    only.down = GONE
    silence.set()
    for attempt in waiting:
        with pytest.raises(DownstreamUnavailable):
            await attempt
    assert states(downstream) == ["up"]  # what they say is of long ago
    only.down = None
    only.waits = asyncio.Event()  # who is up may be slow
    waiting = [asyncio.create_task(send(downstream)) for _ in range(2 * MOST_ATTEMPTS)]
    await asyncio.sleep(0)
    only.waits.set()
    await asyncio.gather(*waiting)
    assert len(only.messages) == 1 + 2 * MOST_ATTEMPTS


async def test_a_transaction_that_reached_nobody_does_not_try_for_each_recipient(clock):
    servers = [FakeServer(), FakeServer()]
    downstream = several(clock, *servers)
    for server in servers:
        server.down = GONE
    delivery = downstream.begin(ENVELOPE)
    for address in ("a@x", "b@x", "c@x"):
        with pytest.raises(DownstreamUnavailable, match="s0: gone; s1: gone"):
            await delivery.recipient(address)
    assert [server.begun for server in servers] == [1, 1]


async def test_after_an_accepted_recipient_nobody_else_is_asked(clock):
    first, second = FakeServer(recipient={"c@x": GONE}), FakeServer()
    delivery = several(clock, first, second).begin(ENVELOPE)
    assert await delivery.recipient("b@x") == OK_FAKE
    with pytest.raises(DownstreamUnavailable):
        await delivery.recipient("c@x")
    await delivery.abandon()
    assert (second.begun, first.abandoned) == (0, 1)


OK_FAKE = RelayReply(250, "2.1.5", "Ok")


@pytest.mark.parametrize("answer", [RelayReply(550, "5.1.1", "Unknown"), RelayReply(452, "4.3.1", "Full")])
async def test_a_refusal_is_an_answer(clock, answer):
    first, second = FakeServer(recipient={"b@x": answer}), FakeServer()
    downstream = several(clock, first, second)
    assert await downstream.begin(ENVELOPE).recipient("b@x") == answer
    assert (second.begun, states(downstream)) == (0, ["up", "up"])


async def test_a_server_that_fails_at_the_end_of_data_is_put_aside(clock):
    first, second = FakeServer(deliver=GONE), FakeServer()
    downstream = several(clock, first, second)
    with pytest.raises(DownstreamUnavailable):
        await send(downstream)
    assert second.begun == 0  # perhaps the first one has it
    await send(downstream)
    assert (len(second.messages), states(downstream)[0]) == (1, "aside")


async def test_a_full_pool_is_no_failure_of_the_server(clock):
    first, second = FakeServer(), FakeServer()
    downstream = several(clock, first, second)
    first.down = TooManyConnections("too many")
    await send(downstream)
    assert (len(second.messages), states(downstream)[0]) == (1, "up")


async def test_our_own_mistake_is_no_failure_of_the_server(clock):
    first = FakeServer()
    downstream = several(clock, first, FakeServer())
    first.down = Unsendable("dangerous")
    with pytest.raises(Unsendable):
        await send(downstream)
    assert (states(downstream), first.abandoned) == (["up", "up"], 1)


async def test_nothing_was_accepted(clock):
    delivery = several(clock, FakeServer()).begin(ENVELOPE)
    await delivery.abandon()
    with pytest.raises(ValueError, match="no recipient"):
        await delivery.deliver(CONTENT)


@pytest.mark.parametrize("lmtp", [(False, False), (True, False), (False, True)])
async def test_all_answer_for_each_recipient_if_one_does(clock, lmtp):
    """Or nobody would ask who has the message when the other one takes over."""
    first, second = (FakeServer(per_recipient=each) for each in lmtp)
    first.deliver = second.deliver = [OK_FAKE] * 2 if lmtp[1] else [OK_FAKE]
    downstream = several(clock, first, second)
    first.down = GONE
    delivery = downstream.begin(ENVELOPE)
    await delivery.recipient("b@x")
    await delivery.recipient("c@x")
    assert delivery.per_recipient == any(lmtp)
    assert await delivery.deliver(CONTENT) == [OK_FAKE] * (2 if any(lmtp) else 1)


@pytest.mark.parametrize("script", [{"greeting": CLOSE}, {"greeting": b"554 No\r\n"}, {"MAIL": CLOSE}, {"RCPT": CLOSE}])
async def test_real_servers(script, clock):
    async with scripted(script) as broken, scripted() as good:
        downstream = several(clock, downstream_of(broken), downstream_of(good))
        assert await send(downstream) == [QUEUED]
        assert [(health.idle, health.busy) for health in downstream.health()] == [(0, 0), (1, 0)]
        delivery = downstream.begin(ENVELOPE)
        assert await delivery.recipient("b@x") == OK
        assert (downstream.health()[1].idle, downstream.health()[1].busy) == (0, 1)
        await delivery.abandon()
        await downstream.close()
        await good.gone[0].wait()


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([None, None], None),
        ([{"DSN", "SIZE"}, {"SIZE"}], {"SIZE"}),
        ([{"DSN"}, None], {"DSN"}),
        ([{"DSN"}, set()], set()),
    ],
)
async def test_what_all_offer_that_were_reached(clock, offers, expected):
    servers = [FakeServer(extensions=offer) for offer in offers]
    for together in (several(clock, *servers), RoutingDownstream(servers[0], {"x.example": servers[1]})):
        await together.learn_extensions()
        assert together.extensions == expected


async def test_what_dsn_asks_for_reaches_the_server_that_takes_the_message(clock):
    first, second = FakeServer(), FakeServer()
    first.down = DownstreamUnavailable("away")
    delivery = RoutingDownstream(several(clock, first, second), {}).begin(ENVELOPE)
    parameters = [RcptParameters("NEVER"), RcptParameters("SUCCESS", "rfc822;x")]
    await delivery.recipient("b@example.com", parameters[0])
    await delivery.recipient("c@example.com", parameters[1])
    await delivery.deliver(CONTENT)
    assert second.messages[0].parameters == tuple(parameters)
