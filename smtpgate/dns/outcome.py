"""What a server's response says about a question: one of the four outcomes."""

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.wire import CODES, FormatError, Record, Response

MAX_CHAIN = 10  # CNAMEs; none that works is longer
_NO_SOA_TTL = 5  # seconds; RFC 2308 §5 forbids to keep such an answer, but one mail asks the same several times
_MAX_TTL = 2**31 - 1
_NXDOMAIN = 3
_NS, _CNAME, _SOA = CODES["NS"], CODES["CNAME"], CODES["SOA"]


def outcome(name: str, kind: RecordType, response: Response) -> Answer:
    """Make one of the four outcomes. FormatError: another server should be asked."""
    if response.rcode and response.error:
        raise FormatError(response.error)
    records, ttl = _follow(response, CODES[kind])
    if response.rcode == _NXDOMAIN:  # of the last name of the chain (RFC 2308 §2.1)
        if records:
            raise FormatError("NXDOMAIN with records")
        return Answer(name, kind, Status.NO_NAME, ttl=min(ttl, _negative_ttl(response)))
    if not records:
        codes = {record.code for record in response.authority}
        if _NS in codes and _SOA not in codes:  # RFC 2308 §2.2
            raise FormatError("a mere referral")
        return Answer(name, kind, Status.NO_DATA, ttl=min(ttl, _negative_ttl(response)))
    values = tuple([record.value for record in records])
    if kind == "SOA":
        values = tuple(value.host for value in values)
    return Answer(name, kind, Status.ANSWER, values, ttl)


def _follow(response: Response, code: int) -> tuple[list[Record], int]:
    """The records at the end of the chain of aliases, and the smallest TTL on the way (RFC 1034 §3.6.2)."""
    name, ttl = response.name, _MAX_TTL
    for _ in range(MAX_CHAIN + 1):
        found, alias = [], None
        for record in response.answer:
            owner, kind, age, _ = record
            if owner == name:
                if kind == code:
                    found.append(record)
                    if age < ttl:
                        ttl = age
                elif kind == _CNAME and alias is None:
                    alias = record
        if found or alias is None:
            return found, ttl
        name, ttl = alias.value, min(ttl, alias.ttl)
    raise FormatError("a circle of aliases")


def _negative_ttl(response: Response) -> int:
    # RFC 2308 §5: the smaller of the SOA's own TTL and its last field.
    return min(
        (min(record.ttl, record.value.minimum) for record in response.authority if record.code == _SOA),
        default=_NO_SOA_TTL,
    )
