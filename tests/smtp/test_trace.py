"""What stands above a message does not change what stands in it."""

import pytest

from smtpgate.smtp.trace import below
from tests.harness import serving

HEADER = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", b""),
        (b"\r\n", b"\r\n"),
        (b"Subject: x\r\n\r\n", b"Subject: x\r\n\r\n"),
        (b"From: a@b\r\n\r\n", b"From: a@b\r\n\r\n"),
        # nobody writes on in our fields
        (b" for <x@y>;\r\nSubject: x\r\n\r\n", b"\r\n for <x@y>;\r\nSubject: x\r\n\r\n"),
        (b"\tx\r\n", b"\r\n\tx\r\n"),
        # Postfix: X-Mailbox-Line
        (b"From a Mon Jan  5\r\nTo: b\r\n", b"X-Mailbox-Line: From a Mon Jan  5\r\nTo: b\r\n"),
        (b">>FROM a\r\nfrom b\r\nTo: b\r\n", b"X-Mailbox-Line: >>FROM a\r\nX-Mailbox-Line: from b\r\nTo: b\r\n"),
        (b"From a\r\n x\r\n", b"X-Mailbox-Line: From a\r\n\r\n x\r\n"),
        (b"To: b\r\nFrom a\r\n", b"To: b\r\nFrom a\r\n"),
        (b"From a\r\n" * 5000, b"X-Mailbox-Line: From a\r\n" * 5000),
    ],
)
def test_a_head_below_our_fields(head: bytes, expected: bytes) -> None:
    assert below(head) == expected


@pytest.mark.parametrize(
    ("first", "instead"),
    [
        (b"", b""),
        (b" x\r\n", b"\r\n x\r\n"),
        (b"Authentication-Results: mx.example.org; none\r\n \r\nFrom a\r\n", b"X-Mailbox-Line: From a\r\n"),
    ],
)
async def test_what_the_downstream_gets(first: bytes, instead: bytes) -> None:
    async with serving() as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["you@example.org"], first + HEADER)
    [message] = gate.downstream.messages
    received, _, rest = message.content.partition(b" +0000\r\n")
    assert received.startswith(b"Received: from client.example.net")
    assert rest == instead + HEADER
