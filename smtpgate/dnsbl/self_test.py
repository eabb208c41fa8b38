"""The self-test of a list: does it answer as a list does? RFC 5782 §5 says what every list must and must not list."""

import asyncio
import ipaddress
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from smtpgate.dns.resolver import Answer, Resolver
from smtpgate.dnsbl.listing import DnsList
from smtpgate.values import IPAddress

_SAMPLES = 8
_RANDOM = random.SystemRandom()  # a list must not foresee what it is asked
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
# Lists of domains whose own test entry is another one than RFC 5782 asks for.
_OWN_ENTRIES = {
    "spamhaus.org": "dbltest.com",
    "spamhaus.net": "dbltest.com",
    "surbl.org": "surbl-org-permanent-test-point.com",
}


class Kind(StrEnum):
    """What a list is asked about. A list that is wrong about one may be right about another."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    DOMAINS = "domains"

    @classmethod
    def of(cls, subject: IPAddress | str) -> "Kind":
        """That of an address or a domain."""
        return _KINDS[type(subject)]


_KINDS = {IPv4Address: Kind.IPV4, IPv6Address: Kind.IPV6, str: Kind.DOMAINS}


@dataclass(frozen=True, slots=True)
class Finding:
    """How a self-test ended. wrong: why the list must not be believed. unknown: why nothing was found out. note: what
    the administrator may want to know of a list that is right.
    """

    wrong: str | None = None
    unknown: str | None = None
    note: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether the list can be believed."""
        return not self.wrong and not self.unknown


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked. listed: one of these must be listed; unlisted: this must not; samples: not all of these may be."""

    listed: tuple[IPAddress | str, ...]
    unlisted: IPAddress | str
    samples: tuple[IPAddress | str, ...]


def questions(listing: DnsList, kind: Kind) -> Questions:
    """Those for a list. The samples are others every time."""
    if kind is Kind.DOMAINS:
        own = tuple(name for domain, name in _OWN_ENTRIES.items() if listing.zone.endswith("." + domain))
        # RFC 5782 §5: TEST and INVALID. Lists that have addresses beside domains may have 127.0.0.2 instead.
        return Questions(("test", "2.0.0.127", *own), "invalid", (_random_domain(),))
    if kind is Kind.IPV6:
        # RFC 5782 §5: ::FFFF:7F00:2 and ::FFFF:7F00:1.
        there, not_there = ipaddress.ip_address("::ffff:7f00:2"), ipaddress.ip_address("::ffff:7f00:1")
    else:
        there, not_there = ipaddress.ip_address("127.0.0.2"), ipaddress.ip_address("127.0.0.1")
    return Questions((there,), not_there, tuple(_random_address(kind) for _ in range(_SAMPLES)))


async def self_test(dns: Resolver, listing: DnsList, kind: Kind) -> Finding:
    """Ask a list what every list can be asked. dns: answers from no memory of its own."""
    asked = questions(listing, kind)
    subjects = (*asked.listed, asked.unlisted, *asked.samples)
    answers = await asyncio.gather(*(dns.query(listing.question(subject), "A") for subject in subjects))
    by_subject = dict(zip(subjects, answers, strict=True))
    wrong = listing.refusal(record for answer in answers for record in answer.records) or _lists_too_much(
        listing, asked, by_subject
    )
    if wrong:
        return Finding(wrong=wrong)
    if _lists(listing, [by_subject[subject] for subject in asked.listed]):
        unlisted = by_subject[asked.unlisted]
        return Finding(unknown=_detail(unlisted)) if unlisted.failed else Finding()
    failure = next((answer for subject in asked.listed if (answer := by_subject[subject]).failed), None)
    if failure is not None:
        return Finding(unknown=_detail(failure))
    if kind is Kind.IPV6:  # most lists have no IPv6 addresses at all, which does no harm
        return Finding(note="it has no IPv6 test entry, so probably no IPv6 addresses")
    names = " or ".join(str(subject) for subject in asked.listed)
    return Finding(wrong=f"it does not list its test entry, {names}: it is empty, or no more")


def _lists_too_much(listing: DnsList, asked: Questions, answers: dict[IPAddress | str, Answer]) -> str | None:
    if _lists(listing, [answers[asked.unlisted]]):
        return f"it lists {asked.unlisted}, so probably everything"
    if all(_lists(listing, [answers[sample]]) for sample in asked.samples):
        return "it lists whatever is chosen at random, so probably everything"
    return None


def _lists(listing: DnsList, answers: Sequence[Answer]) -> bool:
    """Whether one of them says that something is there, even if a rule would not count it."""
    faults = (listing.fault(address) for answer in answers for address in answer.records)
    return any(fault is None or fault.is_entry for fault in faults)


def _detail(answer: Answer) -> str:
    return answer.detail or answer.status.value


def _random_address(kind: Kind) -> IPAddress:
    """An address of the public Internet, taken by nobody or somebody."""
    while True:
        if kind is Kind.IPV4:
            address: IPAddress = ipaddress.IPv4Address(_RANDOM.getrandbits(32))
        else:
            address = _PUBLIC_IPV6[_RANDOM.getrandbits(125)]
        if address.is_global and not address.is_multicast:
            return address


def _random_domain() -> str:
    # RFC 2606 §2: nobody can have it.
    return "".join(_RANDOM.choices(string.ascii_lowercase, k=16)) + ".example"
