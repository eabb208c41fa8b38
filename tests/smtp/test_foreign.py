"""What is certainly no SMTP, and what only looks odd."""

import pytest

from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.foreign import foreign_protocol

LINES = [
    (b"GET / HTTP/1.1\r\n", "HTTP"),
    (b"get / HTTP/1.0\n", "HTTP"),
    (b"POST /x HTTP/1.1\r\n", "HTTP"),
    (b"HEAD / HTTP/1.1\r\n", "HTTP"),
    (b"PUT / HTTP/1.1\r\n", "HTTP"),
    (b"CONNECT mx.example.org:25 HTTP/1.1\r\n", "HTTP"),
    (b"PRI * HTTP/2.0\r\n", "HTTP"),
    (b"Host: mx.example.org\r\n", "header field"),
    (b"User-Agent: Mozilla/5.0\r\n", "header field"),
    (b"Subject:\r\n", "header field"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
    (b"GETX\r\n", None),
    (b"GET\r\n", None),
    (b"FROB\r\n", None),
    (b"MAIL FROM: <me@example.net>\r\n", None),
    (b"RCPT TO: <you@example.org>\r\n", None),
    (b"FROM:<me@example.net>\r\n", None),
    (b"EHLO client:\r\n", None),
    (b": x\r\n", None),
    (b"\r\n", None),
    (b"\x16\r\n", None),
]


@pytest.mark.parametrize(("line", "protocol"), LINES)
def test_foreign_protocol(line: bytes, protocol: str | None) -> None:
    assert foreign_protocol(line) == protocol


@pytest.mark.parametrize("verb", Dialog.VERBS)
def test_no_command_of_ours_is_foreign(verb: str) -> None:
    assert foreign_protocol(verb.encode() + b" something: else\r\n") is None
