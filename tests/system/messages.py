"""Messages that survive only if nobody touches them, and what to look at in them."""

import re

# Dots at line starts, a line of 5,000 octets (RFC 5321 allows 998; real mail has them), trailing blanks, bytes that
# are no UTF-8, a last line that looks like the end.
EIGHT_BIT = (
    b"From: Me <me@example.com>\r\nTo: You <you@example.org>\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n"
    b"Received: from elsewhere by nowhere; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
    b".\xe4\xf6\xfc at the beginning\r\n..two dots\r\n.\x20\r\n\r\n" + b"long " * 1000 + b"\r\nblanks   \t \r\n"
    b"\xff\xfe\x80 no UTF-8\r\n...\r\n"
)


def body(message: bytes) -> bytes:
    """What follows the header section."""
    return message.partition(b"\r\n\r\n")[2]


def ref(reply: bytes | str) -> str:
    """The reference in a reply."""
    text = reply.decode() if isinstance(reply, bytes) else reply
    found = re.search(r"\(ref ([0-9A-HJKMNP-TV-Z]{8})\)", text)
    assert found, f"no reference in {text!r}"
    return found[1]
