"""A DKIM-Signature field: its tags, checked (RFC 6376 §3.5, §6.1.1), and what it signs of a header."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smtpgate.mailauth.dkim_canonical import relaxed_field, simple_field
from smtpgate.mailauth.dkim_key import NotVerified, decoded, parse_tags, without_blanks
from smtpgate.mailauth.message import HeaderField
from smtpgate.values import is_host_name

# Bounds every tag, h= among them. Signatures in use have some 1,500 octets.
_LONGEST_FIELD = 8192
_NUMBER = re.compile(rb"\d{1,76}\Z")  # RFC 6376 §3.5 on l=
_CLOCK_DRIFT = 300
_KEY_TYPES = {b"rsa-sha256": "rsa", b"ed25519-sha256": "ed25519"}
_FORMS = (b"simple", b"relaxed")
_REQUIRED = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")


@dataclass(frozen=True, slots=True)
class Signature:
    """A well-formed signature.

    domain, selector, identity: d=, s= and the domain of i=, lower case. names: h=, lower case, in order. length: l=.
    """

    field: HeaderField
    domain: str
    selector: str
    key_type: str
    identity: str
    names: tuple[bytes, ...]
    relaxed_header: bool
    relaxed_body: bool
    length: int | None
    body_hash: bytes
    value: bytes

    @property
    def key_name(self) -> str:
        """Where the key is published (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    def signed_header(self, fields: Sequence[HeaderField]) -> bytes:
        """The octets of the header that are signed (RFC 6376 §3.7)."""
        canonical = relaxed_field if self.relaxed_header else simple_field
        # §5.4.2: of several fields of one name the last ones are signed; a name without a field signs its absence.
        # When the signature was made, its own field was not there.
        left: dict[bytes, list[HeaderField]] = {name: [] for name in self.names}
        for field in fields:
            if field.name in left and field is not self.field:
                left[field.name].append(field)
        signed = [canonical(left[name].pop()) for name in self.names if left[name]]
        if left[b"from"]:
            raise NotVerified("policy", "a From field is not signed")  # §8.15
        own = HeaderField(self.field.name, _without_signature(self.field.raw))
        return b"".join(signed) + canonical(own).removesuffix(b"\r\n")


def signature_tags(field: HeaderField) -> dict[bytes, bytes]:
    """The tags of a DKIM-Signature field. Raises NotVerified."""
    if len(field.raw) > _LONGEST_FIELD:
        raise NotVerified("permerror", "signature field too long")
    return parse_tags(field.value)


def parse_signature(field: HeaderField, tags: Mapping[bytes, bytes], now: float) -> Signature:
    """Check the tags at the time `now`, seconds since 1970. Raises NotVerified."""
    for tag in _REQUIRED:
        if not tags.get(tag):
            raise NotVerified("permerror", f"no {tag.decode()}= tag")
    if tags[b"v"] != b"1":
        raise NotVerified("permerror", "unknown version")
    if tags[b"a"] == b"rsa-sha1":
        raise NotVerified("permerror", "rsa-sha1 is not accepted")  # RFC 8301 §3.1
    if tags[b"a"] not in _KEY_TYPES:
        raise NotVerified("permerror", "unknown algorithm")
    if b"dns/txt" not in without_blanks(tags.get(b"q", b"dns/txt")).split(b":"):
        raise NotVerified("permerror", "unknown query method")
    domain, selector = _host_name(tags, b"d"), _host_name(tags, b"s")
    header_form, body_form = _forms(tags.get(b"c", b"simple/simple"))
    _check_times(tags, now)
    return Signature(
        field=field,
        domain=domain,
        selector=selector,
        key_type=_KEY_TYPES[tags[b"a"]],
        identity=_identity(tags, domain),
        names=_names(tags[b"h"]),
        relaxed_header=header_form == b"relaxed",
        relaxed_body=body_form == b"relaxed",
        length=_number(tags, b"l"),
        body_hash=_base64(tags, b"bh"),
        value=_base64(tags, b"b"),
    )


def _host_name(tags: Mapping[bytes, bytes], tag: bytes) -> str:
    name = tags[tag].decode("ascii", "replace").lower()
    if not is_host_name(name):
        raise NotVerified("permerror", f"{tag.decode()}= is not a domain name")
    return name


def _forms(text: bytes) -> tuple[bytes, bytes]:
    header, _, body = text.partition(b"/")
    body = body or b"simple"
    if header not in _FORMS or body not in _FORMS:
        raise NotVerified("permerror", "unknown canonicalization")
    return header, body


def _names(text: bytes) -> tuple[bytes, ...]:
    names = tuple(without_blanks(text).lower().split(b":"))
    if b"from" not in names:
        raise NotVerified("permerror", "From is not signed")  # §5.4
    return names


def _identity(tags: Mapping[bytes, bytes], domain: str) -> str:
    """The domain of i=, which must be d= or below it (§6.1.1)."""
    if b"i" not in tags:
        return domain
    _, at, part = tags[b"i"].rpartition(b"@")
    identity = part.decode("ascii", "replace").lower()
    if not at or (identity != domain and not identity.endswith(f".{domain}")):
        raise NotVerified("permerror", "i= is not within d=")
    return identity


def _number(tags: Mapping[bytes, bytes], tag: bytes) -> int | None:
    if tag not in tags:
        return None
    if not _NUMBER.match(tags[tag]):
        raise NotVerified("permerror", f"{tag.decode()}= is not a number")
    return int(tags[tag])


def _check_times(tags: Mapping[bytes, bytes], now: float) -> None:
    signed, expires = _number(tags, b"t"), _number(tags, b"x")
    if expires is None:
        return
    if signed is not None and expires <= signed:
        raise NotVerified("permerror", "x= is not after t=")
    if expires < now - _CLOCK_DRIFT:
        raise NotVerified("fail", "signature expired")


def _base64(tags: Mapping[bytes, bytes], tag: bytes) -> bytes:
    try:
        return decoded(tags[tag])
    except ValueError:
        raise NotVerified("permerror", f"{tag.decode()}= is not base64") from None


def _without_signature(raw: bytes) -> bytes:
    """The signature's own field with the value of b= taken out, all other octets as they are (§3.7)."""
    name, _, value = raw.removesuffix(b"\r\n").partition(b":")
    tags = []
    for tag in value.split(b";"):
        key, equals, _ = tag.partition(b"=")
        tags.append(key + equals if key.strip() == b"b" else tag)
    return name + b":" + b";".join(tags) + b"\r\n"
