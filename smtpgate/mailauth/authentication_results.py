"""The Authentication-Results header field (RFC 8601): our own emitter, and the removal of forged fields."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from smtpgate.mailauth.message import HeaderField, Message
from smtpgate.mailauth.quoting import quoted_string

# RFC 5322 §2.1.1: lines should have at most 78 characters. A single value may be longer, and is still below 998.
_LINE_WIDTH = 78
_TAB_WIDTH = 8
# RFC 2045 §5.1: token. With one "@" also the addresses and domains that RFC 8601 §2.2 lets stand unquoted.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}(?:@[A-Za-z0-9.-]{1,255})?\Z")
# How far into a field its authserv-id is looked for.
_LONGEST_ID = 1000
# Real fields have a handful of comments. What has more parentheses is not read, since that takes long.
_MOST_PARENTHESES = 50
_MOST_RECEIVERS = 50
# So many fields that name us are read, and the others taken for forged: RFC 8601 §5 lets us remove any.
_MOST_FIELDS = 100
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_CTEXT = re.compile(rb"(?:[^()\\]++|\\.)*", re.DOTALL)  # RFC 5322 §3.2.2, or any octet
_ID = re.compile(rb'"(?P<quoted>(?:[^"\\]++|\\.)*)"|(?P<token>[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f]++)', re.DOTALL)
# What may follow the authserv-id: a version, then the results or nothing.
_AFTER_ID = re.compile(rb"\d{0,9}[ \t\r\n]*(?:[;(]|\Z)")


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method's result, such as spf=fail smtp.mailfrom=example.org.

    properties: pairs such as ("smtp.mailfrom", "user@example.org"), in the order of output.
    """

    method: str
    result: str
    reason: str | None = None
    properties: tuple[tuple[str, str], ...] = ()


class _Unreadable(Exception):
    """Nobody writes such a field, so it may be meant to be misread."""


_AUTHENTICATION_RESULTS = b"authentication-results"
_RECEIVED_SPF = b"received-spf"
_NAMES = (_AUTHENTICATION_RESULTS, _RECEIVED_SPF)


def format_field(authserv_id: str, results: Sequence[MethodResult]) -> bytes:
    """The header field, folded, with its final CRLF. Values may be any strings: they are quoted."""
    lines = [f"Authentication-Results: {_value(authserv_id)}"]
    for result in results:
        lines[-1] += ";"
        lines += _fold(_words(result))
    if not results:
        lines[-1] += "; none"  # RFC 8601 §2.2: no-result
    return ("\r\n\t".join(lines) + "\r\n").encode("ascii")


def without_forged(message: Message, authserv_id: str) -> bytes:
    """The head of the content without the fields that pretend to be ours; every other byte as it was.

    RFC 8601 §5: Authentication-Results that bear our authserv-id, or may do so since they cannot be read; and likewise
    Received-SPF with our name as the receiver.
    """
    if not message.may_have(_AUTHENTICATION_RESULTS) and not message.may_have(_RECEIVED_SPF):
        return message.content.head
    own = authserv_id.encode("ascii", "replace").lower()
    # Without our name in it, escaped or not, a field cannot pretend anything.
    naming = [field for field in message.fields if field.name in _NAMES and own in _plain(field.value)]
    forged = {field for place, field in enumerate(naming) if place >= _MOST_FIELDS or _is_forged(field, own)}
    head = message.content.head
    if not forged:
        return head
    return b"".join([field.raw for field in message.fields if field not in forged]) + head[len(message.header) :]


def _words(result: MethodResult) -> Iterator[str]:
    yield f"{result.method}={result.result}"
    if result.reason:
        yield f"reason={quoted_string(result.reason)}"
    for name, value in result.properties:
        yield f"{name}={_value(value)}"


def _fold(words: Iterable[str]) -> list[str]:
    """The words in lines that fit behind a tab."""
    lines: list[str] = []
    for word in words:
        if lines and _TAB_WIDTH + len(lines[-1]) + 1 + len(word) < _LINE_WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _value(text: str) -> str:
    return text if _PLAIN.match(text) else quoted_string(text)


def _is_forged(field: HeaderField, own: bytes) -> bool:
    try:
        if field.name == _RECEIVED_SPF:
            return _names_receiver(field.value, own)
        claimed = _authserv_id(field.value)
    except _Unreadable:
        return True
    return claimed is None or claimed.lower().removesuffix(b".") == own


def _plain(value: bytes) -> bytes:
    return value.lower().replace(b"\\", b"")


def _authserv_id(value: bytes) -> bytes | None:
    """The authserv-id of a field's value (RFC 8601 §2.2); None if it has none. Raises _Unreadable."""
    value = value[:_LONGEST_ID]
    start = _skip_comments(value, 0)
    found = _ID.match(value, start)
    if found is None:
        return None
    end = _skip_comments(value, found.end())
    if not _AFTER_ID.match(value, end):
        return None
    quoted: bytes | None = found["quoted"]
    return found["token"] if quoted is None else quoted.replace(b"\\", b"").replace(b"\r\n", b"")


def _skip_comments(value: bytes, at: int) -> int:
    """The offset behind blanks and comments (RFC 5322 §3.2.2: CFWS), which may be nested. Raises _Unreadable."""
    depth = 0
    for _ in range(_MOST_PARENTHESES):
        skipped = (_CTEXT if depth else _BLANKS).match(value, at)
        assert skipped is not None  # nothing is as good as something
        at = skipped.end()
        if value.startswith(b"(", at):
            depth += 1
        elif depth and value.startswith(b")", at):
            depth -= 1
        else:
            return at
        at += 1
    raise _Unreadable


def _names_receiver(value: bytes, own: bytes) -> bool:
    """Whether our name stands behind `receiver=` (RFC 7208 §9.1), whatever comments stand between.

    Raises _Unreadable.
    """
    named = re.compile(rb'"?' + re.escape(own) + rb"(?!\.?[a-z0-9_-])")
    pairs = _plain(value).split(b"receiver", _MOST_RECEIVERS + 1)[1:]
    if len(pairs) > _MOST_RECEIVERS:
        raise _Unreadable
    for pair in pairs:
        equals = _skip_comments(pair[:_LONGEST_ID], 0)
        if pair[equals : equals + 1] == b"=" and named.match(pair, _skip_comments(pair[:_LONGEST_ID], equals + 1)):
            return True
    return False
