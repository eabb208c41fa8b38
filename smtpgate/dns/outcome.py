"""What a server's response says about a question: one of the four outcomes."""

from collections.abc import Sequence
from typing import Any

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.wire import CODES, FormatError, Response

MAX_CHAIN = 10  # CNAMEs; none that works is longer
_NO_SOA_TTL = 5  # seconds; RFC 2308 §5 forbids to keep such an answer, but one mail asks the same several times
_MAX_TTL = 2**31 - 1
_NXDOMAIN = 3
_ANSWER, _NO_NAME, _NO_DATA = Status.ANSWER, Status.NO_NAME, Status.NO_DATA  # slow to be looked up in Python 3.11
_NS, _SOA = CODES["NS"], CODES["SOA"]


def outcome(name: str, kind: RecordType, response: Response) -> Answer:
    """Make one of the four outcomes. FormatError: another server should be asked."""
    exists = response.rcode != _NXDOMAIN  # the last name of the chain (RFC 2308 §2.1)
    if exists and response.rcode:
        raise FormatError(response.error)
    values, ttl = _follow(response, CODES[kind]) if response.records else ((), _MAX_TTL)
    if values:
        if not exists:
            raise FormatError("NXDOMAIN with records")
        return Answer(name, kind, _ANSWER, tuple(values), ttl)
    authority = response.authority
    if exists and _NS in authority and _SOA not in authority:  # RFC 2308 §2.2
        raise FormatError("a mere referral")
    ttl = min(ttl, authority.get(_SOA, _NO_SOA_TTL))
    return Answer(name, kind, _NO_DATA if exists else _NO_NAME, (), ttl)


def _follow(response: Response, asked: int) -> tuple[Sequence[Any], int]:
    """The values at the end of the chain of aliases, and the smallest TTL on the way (RFC 1034 §3.6.2)."""
    name, ttl = response.name, _MAX_TTL
    for _ in range(MAX_CHAIN + 1):
        values, alias = [], None
        for owner, code, age, value in response.records:
            if owner == name:
                if code == asked:
                    values.append(value)
                    ttl = min(ttl, age)
                elif alias is None:
                    alias = value, age
        if values or alias is None:
            return values, ttl
        name, ttl = alias[0], min(ttl, alias[1])
    raise FormatError("a circle of aliases")
