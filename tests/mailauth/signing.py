"""Signs messages, so that tests can verify them: with dkimpy, and with tags that dkimpy would not write."""

import base64
import hashlib
from functools import cache
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim.canonicalization import Relaxed

DOMAIN, SELECTOR = "example.org", "sel"
KEY_NAME = f"{SELECTOR}._domainkey.{DOMAIN}"
HEADER = b"From: Ann <ann@example.org>\r\nTo: bob@example.com\r\nSubject: Hello\r\n\t again\r\n"
BODY = b"Hi  Bob, \r\n\r\nall is well.\t\r\n\r\n\r\n"
MESSAGE = HEADER + b"\r\n" + BODY

Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def record(key: Key, extra: str = "") -> str:
    """The key's TXT record."""
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; {extra} p={base64.b64encode(public).decode()}"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; {extra} p={base64.b64encode(public).decode()}"


def signed_by_dkimpy(message: bytes = MESSAGE, canonical: str = "relaxed/relaxed", **more: Any) -> bytes:
    pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    forms = tuple(canonical.encode().split(b"/"))
    signature: bytes = dkim.sign(message, SELECTOR.encode(), DOMAIN.encode(), pem, canonicalize=forms, **more)
    return signature + message


def signed(message: bytes = MESSAGE, key: Key | None = None, **changes: str | None) -> bytes:
    """The message with a relaxed/relaxed signature. changes: tags to set, or with None to leave out."""
    key = key or rsa_key()
    header, _, body = message.partition(b"\r\n\r\n")
    canonical_body = Relaxed.canonicalize_body(body)
    length = changes.get("l")
    if length is not None and length.isdigit():
        canonical_body = canonical_body[: int(length)]
    tags: dict[str, str | None] = {
        "v": "1",
        "a": "ed25519-sha256" if isinstance(key, ed25519.Ed25519PrivateKey) else "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": DOMAIN,
        "s": SELECTOR,
        "h": "from:to:subject",
        "bh": base64.b64encode(hashlib.sha256(canonical_body).digest()).decode(),
    } | {tag: value for tag, value in changes.items() if tag != "b"}
    tags["b"] = changes.get("b", "")  # last, so that the signature can be appended
    field = "; ".join(f"{tag}={value}" for tag, value in tags.items() if value is not None)
    if tags["b"] == "":
        field += base64.b64encode(_sign(key, _signed_octets(header, tags["h"] or "", field))).decode()
    return f"DKIM-Signature: {field}\r\n".encode() + message


def _signed_octets(header: bytes, names: str, field: str) -> bytes:
    fields = [line.split(b":", 1) for line in header.replace(b"\r\n\t", b" ").split(b"\r\n")]
    chosen = []
    for name in names.encode().split(b":"):
        found = [pair for pair in fields if pair[0].lower() == name.lower()]
        if found:
            chosen.append((found[-1][0], found[-1][1]))
            fields.remove(found[-1])
    octets = b"".join(name + b":" + value for name, value in Relaxed.canonicalize_headers(chosen))
    ((name, value),) = Relaxed.canonicalize_headers([(b"DKIM-Signature", field.encode())])
    return octets + bytes(name) + b":" + bytes(value).removesuffix(b"\r\n")


def _sign(key: Key, octets: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), SHA256())
    return key.sign(hashlib.sha256(octets).digest())
