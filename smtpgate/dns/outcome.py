"""What a server's response says about a question: one of the four outcomes, or why it says nothing."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.wire import CODES, MAX_RECORDS, QUESTION, FormatError, Record, read_authority, read_records

MAX_CHAIN = 10  # CNAMEs; none that works is longer
_NO_SOA_TTL = 5  # seconds; RFC 2308 §5 forbids to keep such an answer, but one mail asks the same several times
_MAX_TTL = 2**31 - 1
_USUAL = (0, 3)  # NOERROR, NXDOMAIN
_ERRORS = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}
_ANSWER, _NO_NAME, _NO_DATA = Status.ANSWER, Status.NO_NAME, Status.NO_DATA  # slow to be looked up in Python 3.11
_NS, _SOA = CODES["NS"], CODES["SOA"]
_COUNTS = struct.Struct("!4H")  # RFC 1035 §4.1.1: the flags, and how many questions, answers, authorities there are


class Unanswered(NamedTuple):
    """A response that is no answer.

    why: for the record. rcode: RFC 1035 §4.1.1. truncated: the answer did not fit. other_case: it repeats the question
    with letters in another case.
    """

    why: str
    rcode: int = 0
    truncated: bool = False
    other_case: bool = False


def read_answer(wire: bytes, spelt: bytes, name: str, kind: RecordType) -> Answer | Unanswered:
    """Make an answer of a packet that has the right identifier.

    spelt: the question as it was sent; name, kind: what it asks. FormatError: it is malformed, or another's answer.
    """
    records: Sequence[Record] = ()
    authority: Mapping[int, int] = {}
    try:
        flags, questions, answers, authorities = _COUNTS.unpack_from(wire, 2)
        rcode = flags & 15
        # Nearly all are responses to a standard query, not truncated, and repeat the question as it was spelt.
        if flags & 0xFA00 != 0x8000 or rcode not in _USUAL or questions != 1 or not wire.startswith(spelt, QUESTION):
            unanswered = _unusual(wire, spelt, flags, questions)
            if unanswered is not None:
                return unanswered
        end = QUESTION + len(spelt)
        if answers:
            records, end = read_records(wire, end, min(answers, MAX_RECORDS), name, CODES[kind])
        if authorities and answers <= MAX_RECORDS:  # else the next section begins where we do not look
            authority = read_authority(wire, end, min(authorities, MAX_RECORDS))
    except FormatError:
        raise
    except (IndexError, ValueError, struct.error) as error:
        raise FormatError("a malformed answer") from error
    return _outcome(name, kind, rcode == 0, records, authority)


def _unusual(wire: bytes, spelt: bytes, flags: int, questions: int) -> Unanswered | None:
    """Why a response is no answer; None if it is one, though its question's letters, all small, have another case."""
    if flags & 0xF800 != 0x8000:
        raise FormatError("not a response")
    rcode = flags & 15
    error = _ERRORS.get(rcode, f"RCODE {rcode}")
    if questions == 0 and rcode in _ERRORS:  # a server that could not even read it need not repeat it
        return Unanswered(error, rcode)
    # RFC 5452 §4.2. No other octet of a question is a letter's: lengths are below 64, types and classes too.
    if questions != 1 or wire[QUESTION : QUESTION + len(spelt)].lower() != spelt.lower():
        raise FormatError("an answer to another question")
    if not wire.startswith(spelt, QUESTION) and spelt != spelt.lower():
        return Unanswered("the question in another case", other_case=True)
    truncated = flags & 0x0200 != 0
    if truncated or rcode not in _USUAL:
        return Unanswered("truncated" if truncated else error, rcode, truncated)
    return None


def _outcome(
    name: str, kind: RecordType, exists: bool, records: Sequence[Record], authority: Mapping[int, int]
) -> Answer | Unanswered:
    """exists: the last name of the chain of aliases does (RFC 2308 §2.1)."""
    ttl = authority.get(_SOA, _NO_SOA_TTL)
    if records:
        found = _follow(records, name, CODES[kind])
        if found is None:
            return Unanswered("a circle of aliases")
        values, age = found
        if values:
            return Answer(name, kind, _ANSWER, tuple(values), age) if exists else Unanswered("NXDOMAIN with records")
        ttl = min(ttl, age)
    if exists and _NS in authority and _SOA not in authority:  # RFC 2308 §2.2
        return Unanswered("a mere referral")
    return Answer(name, kind, _NO_DATA if exists else _NO_NAME, (), ttl)


def _follow(records: Sequence[Record], name: str, asked: int) -> tuple[Sequence[Any], int] | None:
    """The values at the end of the chain of aliases, and the smallest TTL on the way (RFC 1034 §3.6.2).

    None: it has no end.
    """
    ttl = _MAX_TTL
    for _ in range(MAX_CHAIN + 1):
        values, alias = [], None
        for owner, code, age, value in records:
            if owner == name:
                if code == asked:
                    values.append(value)
                    if age < ttl:
                        ttl = age
                elif alias is None:
                    alias = value, age
        if values or alias is None:
            return values, ttl
        name, ttl = alias[0], min(ttl, alias[1])
    return None
