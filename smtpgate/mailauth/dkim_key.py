"""The public key of a DKIM signature, as its domain publishes it (RFC 6376 §3.6.1, RFC 8301, RFC 8463)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from dkim.util import InvalidTagValueList, parse_tag_value

DkimOutcome = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]

# A record with an RSA key of 4096 bits has some 800 octets.
_LONGEST_RECORD = 4096
# RFC 8301 §3.2: shorter keys must not verify, longer ones need not. The exponent bounds the work of verifying.
_RSA_BITS = range(1024, 4096 + 1)
_LARGEST_EXPONENT = 2**32


class NotVerified(Exception):
    """Why a signature has a result other than pass. reason: for the administrator; it may hold a stranger's words."""

    def __init__(self, result: DkimOutcome, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A usable key. testing: the domain only tries DKIM out (t=y). strict: i= must name the domain itself (t=s)."""

    key: RSAPublicKey | Ed25519PublicKey
    bits: int
    testing: bool
    strict: bool

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether this is the data's signature."""
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, hashlib.sha256(data).digest())  # RFC 8463 §3: the hash is signed
            else:
                self.key.verify(signature, data, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def parse_tags(text: bytes) -> dict[bytes, bytes]:
    """A tag list (RFC 6376 §3.2), folded or not. Raises NotVerified."""
    try:
        tags: dict[bytes, bytes] = parse_tag_value(text.replace(b"\r\n", b""))
    except InvalidTagValueList:
        raise NotVerified("permerror", "not a list of tags") from None
    return tags


def parse_key(record: bytes, key_type: str) -> PublicKey:
    """The key in a TXT record, for a signature of the algorithm `key_type`-sha256. Raises NotVerified."""
    if len(record) > _LONGEST_RECORD:
        raise NotVerified("permerror", "key record too long")
    tags = parse_tags(record)
    if tags.get(b"v", b"DKIM1") != b"DKIM1":
        raise NotVerified("permerror", "not a DKIM key record")
    if b"sha256" not in _words(tags.get(b"h", b"sha256")):
        raise NotVerified("permerror", "key is not for sha256")
    if not _words(tags.get(b"s", b"*")) & {b"*", b"email"}:
        raise NotVerified("permerror", "key is not for email")
    if tags.get(b"k", b"rsa") != key_type.encode():
        raise NotVerified("permerror", "key is of another algorithm")
    encoded = without_blanks(tags.get(b"p", b""))
    if not encoded:
        raise NotVerified("permerror", "key revoked" if b"p" in tags else "no key in record")
    flags = _words(tags.get(b"t", b""))
    key, bits = _ed25519_key(encoded) if key_type == "ed25519" else _rsa_key(encoded)
    return PublicKey(key, bits, testing=b"y" in flags, strict=b"s" in flags)


def decoded(text: bytes) -> bytes:
    """Base64 with blanks anywhere (RFC 6376 §2.10). Raises ValueError."""
    try:
        return base64.b64decode(without_blanks(text), validate=True)
    except binascii.Error as trouble:
        raise ValueError(str(trouble)) from None


def without_blanks(text: bytes) -> bytes:
    """A text without any white space."""
    return text.translate(None, b" \t\r\n")


def _words(text: bytes) -> set[bytes]:
    return set(without_blanks(text).split(b":"))


def _ed25519_key(encoded: bytes) -> tuple[Ed25519PublicKey, int]:
    try:
        return Ed25519PublicKey.from_public_bytes(decoded(encoded)), 256
    except (ValueError, UnsupportedAlgorithm):
        raise NotVerified("permerror", "key cannot be read") from None


def _rsa_key(encoded: bytes) -> tuple[RSAPublicKey, int]:
    try:
        key = load_der_public_key(decoded(encoded))
    except (ValueError, UnsupportedAlgorithm):
        raise NotVerified("permerror", "key cannot be read") from None
    if not isinstance(key, RSAPublicKey):
        raise NotVerified("permerror", "key is of another algorithm")
    if key.key_size not in _RSA_BITS:
        raise NotVerified("permerror", f"key of {key.key_size} bits")
    if key.public_numbers().e >= _LARGEST_EXPONENT:
        raise NotVerified("permerror", "key with too large an exponent")
    return key, key.key_size
