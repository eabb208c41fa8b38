"""What becomes of a message on its way through."""

import pytest

from smtpgate.mailauth.message import Message
from tests.fakes import FakeDns
from tests.harness import serving
from tests.smtp.talking import BODY


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
