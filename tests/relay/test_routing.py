"""Which server a recipient's mail goes to."""

import pytest

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RelayReply
from smtpgate.relay.routing import RoutingDownstream
from tests.fakes import FakeDownstream

ENVELOPE = Envelope("me@example.com")
OK = RelayReply(250, "2.1.5", "Ok")


def routing(**options):
    """The default, three routes, and all of them together."""
    default, a, below_b, c = (FakeDownstream(**options) for _ in range(4))
    routes = {
        "a.example": a, ".b.example": below_b, "c.b.example": c, ".c.b.example": c, "xn--bcher-kva.example": c
    }  # fmt: skip
    return default, a, below_b, c, RoutingDownstream(default, routes)


@pytest.mark.parametrize(
    ("address", "goes_to"),
    [
        ("you@a.example", 1),
        ("you@A.Example", 1),
        ("you@sub.a.example", 0),
        ("you@b.example", 0),
        ("you@x.b.example", 2),
        ("you@x.y.b.example", 2),
        ("you@xb.example", 0),
        ("you@c.b.example", 3),
        ("you@x.c.b.example", 3),
        ("you@bücher.example", 3),
        ("you@XN--BCHER-KVA.example", 3),
        ('"you@a.example"@elsewhere.example', 0),
        ("you@elsewhere.example", 0),
        ("you@example", 0),
        ("you@[192.0.2.1]", 0),
        ("postmaster", 0),
        ("a.example", 0),
    ],
)
def test_whose_route(address, goes_to):
    *downstreams, together = routing()
    assert together.route(address) is downstreams[goes_to]


async def test_the_first_accepted_recipient_decides():
    default, a, *_, together = routing()
    delivery = together.begin(ENVELOPE)
    assert await delivery.recipient("one@a.example") == OK
    for address in ("two@elsewhere.example", "two@c.b.example"):
        reply = await delivery.recipient(address)
        assert (reply.code, reply.enhanced) == (452, "4.5.3")
        assert "separately" in reply.text
    assert await delivery.recipient("three@a.example") == OK
    await delivery.deliver(Content.of(b"x\r\n"))
    [message] = a.messages
    assert message.recipients == ("one@a.example", "three@a.example")
    assert default.offered == []


async def test_a_refused_recipient_decides_nothing():
    default, a, *_, together = routing(recipient={"nobody@a.example": RelayReply(550, "5.1.1", "Unknown")})
    delivery = together.begin(ENVELOPE)
    assert (await delivery.recipient("nobody@a.example")).code == 550
    assert await delivery.recipient("you@elsewhere.example") == OK
    assert (a.abandoned, default.abandoned) == (1, 0)
    await delivery.deliver(Content.of(b"x\r\n"))
    assert len(default.messages) == 1


async def test_nor_does_a_server_that_is_away():
    default, *_, together = routing(recipient={"you@a.example": DownstreamUnavailable("away")})
    delivery = together.begin(ENVELOPE)
    with pytest.raises(DownstreamUnavailable):
        await delivery.recipient("you@a.example")
    assert await delivery.recipient("you@elsewhere.example") == OK
    await delivery.abandon()
    assert default.abandoned == 1


async def test_a_transaction_without_recipients():
    *downstreams, together = routing()
    delivery = together.begin(ENVELOPE)
    assert not delivery.per_recipient
    with pytest.raises(ValueError, match="no recipient"):
        await delivery.deliver(Content.of(b"x\r\n"))
    await delivery.abandon()
    assert sum(downstream.abandoned for downstream in downstreams) == 0


async def test_every_server_is_asked_how_it_is_and_closed_once():
    *downstreams, together = routing()
    assert together.health() == []
    await together.close()
    assert [downstream.closed for downstream in downstreams] == [1, 1, 1, 1]


async def test_each_answers_in_its_own_way():
    *_, together = routing(per_recipient=True)
    delivery = together.begin(ENVELOPE)
    await delivery.recipient("you@a.example")
    assert delivery.per_recipient
