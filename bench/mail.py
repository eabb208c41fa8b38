"""The messages of strangers: ordinary ones, and the most laborious that one may send."""

import base64
from typing import NamedTuple

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

DOMAIN, SELECTOR = "signer.example", "sel"
KEY_NAME = f"{SELECTOR}._domainkey.{DOMAIN}"

_HEADER = (
    b"From: Ann <ann@signer.example>\r\nTo: you@example.org\r\nSubject: a measurement\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@signer.example>\r\n"
)
_LINE = b"The quick brown fox jumps over the lazy dog, again and again it runs.\r\n"


class Kind(NamedTuple):
    """A kind of message. weight: how often it is sent, beside the others. content: dots not yet stuffed."""

    name: str
    weight: int
    content: bytes


def kinds() -> tuple[list[Kind], str]:
    """All kinds, and the TXT record of the key that signed them."""
    key = rsa.generate_private_key(65537, 2048)

    def signed(content: bytes) -> bytes:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        signature: bytes = dkim.sign(
            content, SELECTOR.encode(), DOMAIN.encode(), pem,
            canonicalize=(b"relaxed", b"relaxed"), include_headers=[b"from", b"to", b"subject", b"date"],
        )  # fmt: skip
        return signature + content

    small, large = _message(_LINE * 55), _message(_LINE * 14_770)
    blanks = _message((b" \t" * 480 + b"x\r\n") * 1089)
    dots = _message(b".\t.\r\n" * 210_000)
    fields = _HEADER + b"".join(b"X-Field-%d: %s\r\n" % (n, b"x" * 60) for n in range(2500)) + b"\r\n" + _LINE
    found = [
        Kind("4 KB, signed", 800, signed(small)),
        Kind("4 KB, not signed", 160, small),
        Kind("1 MB, signed", 20, signed(large)),
        Kind("1 MB of blanks, signed", 5, signed(blanks)),
        Kind("1 MB of lines that begin with a dot", 5, dots),
        Kind("190 KB of header, signed", 10, signed(fields)),
    ]
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found, f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def plain() -> Kind:
    """An ordinary message, without a signature."""
    return Kind("4 KB", 1, _message(_LINE * 55))


def _message(body: bytes) -> bytes:
    return _HEADER + b"\r\n" + body
