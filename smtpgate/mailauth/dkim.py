"""DKIM verification (RFC 6376, with RFC 8301 and RFC 8463): who has signed this message, and does it hold?

Rules it keeps:
- Every signature has a result; nothing that a stranger sends or publishes raises.
- Work is bounded: signatures, sizes of header, fields, keys; everything is linear in the message.
- A large body is hashed outside the event loop, once for each form that the signatures ask for.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from smtpgate.dns.resolver import Answer, Resolver
from smtpgate.mailauth.dkim_canonical import body_digest
from smtpgate.mailauth.dkim_key import DkimOutcome, NotVerified, PublicKey, parse_key
from smtpgate.mailauth.dkim_signature import Signature, parse_signature, signature_tags
from smtpgate.mailauth.message import HeaderField, Message
from smtpgate.system_error import in_words

log = logging.getLogger(__name__)

MOST_SIGNATURES = 8
# Below this the hash takes less than handing it to a thread.
_LARGE_BODY = 64 * 1024
_MOST_KEYS = 4
_LONGEST_TEXT = 255


@dataclass(frozen=True, slots=True)
class DkimResult:
    """What became of one signature.

    domain, selector, algorithm: d=, s= and a=, "" if they cannot be read. key_bits: 0 without a key. b: the beginning
    of b=, which tells signatures apart (RFC 6008). reason: why it is no pass. testing: the domain only tries DKIM out.
    """

    result: DkimOutcome
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    key_bits: int = 0
    b: str = ""
    reason: str = ""
    testing: bool = False


async def verify_dkim(resolver: Resolver, message: Message, *, clock: Callable[[], float]) -> list[DkimResult]:
    """Verify the message's first signatures, at most MOST_SIGNATURES; an empty list if there is none.

    clock: the wall time in seconds since 1970. Never raises, except when cancelled.
    """
    if message.header_too_large:
        return [DkimResult("permerror", reason="header too large")]
    fields = [field for field in message.fields if field.name == b"dkim-signature"][:MOST_SIGNATURES]
    if not fields:
        return []
    verifier = _Verifier(resolver, message, clock())
    return list(await asyncio.gather(*map(verifier.verify, fields)))


class _Verifier:
    """Verifies the signatures of one message. now: the wall time."""

    def __init__(self, resolver: Resolver, message: Message, now: float) -> None:
        self._resolver = resolver
        self._message = message
        self._now = now
        self._digests: dict[tuple[bool, int | None], asyncio.Future[tuple[bytes, int]]] = {}

    async def verify(self, field: HeaderField) -> DkimResult:
        """The result of one signature."""
        tags: dict[bytes, bytes] = {}
        key = None
        result: DkimOutcome = "pass"
        reason = ""
        try:
            tags = signature_tags(field)
            signature = parse_signature(field, tags, self._now)
            key = _usable_key(await self._resolver.query(signature.key_name, "TXT"), signature)
            await self._check(signature, key)
        except NotVerified as why:
            result, reason = why.result, why.reason
        except OSError as trouble:  # the file that the body is in; not the sender's fault
            log.warning("a message could not be read: %s", in_words(trouble))
            result, reason = "temperror", "message could not be read"
        except Exception:
            log.exception("DKIM verification failed")
            result, reason = "permerror", "internal error"
        return DkimResult(
            result,
            domain=_text(tags, b"d").lower(),
            selector=_text(tags, b"s"),
            algorithm=_text(tags, b"a"),
            key_bits=key.bits if key else 0,
            b="".join(_text(tags, b"b").split())[:8],
            reason=reason,
            testing=key is not None and key.testing,
        )

    async def _check(self, signature: Signature, key: PublicKey) -> None:
        """Raise NotVerified unless the signature is the message's."""
        digest, total = await self._body_digest(signature.relaxed_body, signature.length)
        if digest != signature.body_hash:
            raise NotVerified("fail", "body has been altered")
        if not key.verifies(signature.value, signature.signed_header(self._message.fields)):
            raise NotVerified("fail", "header has been altered")
        if signature.length is None:
            return
        # RFC 6376 §8.2: anybody can append to such a message, so it is not what the domain has signed.
        if signature.length < total:
            raise NotVerified("policy", "only a part of the body is signed (l=)")
        if signature.length > total:
            raise NotVerified("permerror", "l= is longer than the body")

    async def _body_digest(self, relaxed: bool, length: int | None) -> tuple[bytes, int]:
        body = self._message.body
        if isinstance(body, memoryview) and len(body) <= _LARGE_BODY:
            return body_digest(body, relaxed=relaxed, length=length)
        digest = self._digests.get((relaxed, length))
        if digest is None:
            digest = asyncio.ensure_future(asyncio.to_thread(body_digest, body, relaxed=relaxed, length=length))
            self._digests[relaxed, length] = digest
        return await digest


def _usable_key(answer: Answer, signature: Signature) -> PublicKey:
    """The key for a signature (RFC 6376 §6.1.2). Raises NotVerified."""
    if answer.failed:
        raise NotVerified("temperror", "key could not be looked up")
    problem = NotVerified("permerror", "no key")
    for record in answer.records[:_MOST_KEYS]:
        try:
            key = parse_key(record, signature.key_type)
        except NotVerified as why:
            problem = why
            continue
        # §3.6.1, t=s: the identity must be the domain itself.
        if key.strict and signature.identity != signature.domain:
            raise NotVerified("permerror", "i= is not d=, as the key demands")
        return key
    raise problem


def _text(tags: dict[bytes, bytes], tag: bytes) -> str:
    return tags.get(tag, b"")[:_LONGEST_TEXT].decode("ascii", "replace")
