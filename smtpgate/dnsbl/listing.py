"""A list as a rule names it, and what its answers mean. One that is no listing must never be taken for one."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from smtpgate.dns.resolver import reversed_octets
from smtpgate.values import IPAddress, is_fqdn

# RFC 5782 §2.1: listings are answers within 127.0.0.0/8. Anything else is a dead list's parking page.
_LISTINGS = ipaddress.ip_network("127.0.0.0/8")
# Spamhaus and others answer so to open resolvers, typing errors and excessive use: an error, never a listing.
_ERRORS = ipaddress.ip_network("127.255.255.0/24")
_ERROR_NUMBERS = {252: "its name is misspelt", 254: "it refuses open resolvers", 255: "it was asked too often"}
# The first label of a zone that is a customer's own (Spamhaus DQS, Abusix): a secret, not a name.
_ACCESS_KEY = re.compile(r"[a-z0-9]{20,63}(?=\..*\..)")
_NUMBER = re.compile(r"\d{1,3}\Z")

Subjects = Literal["addresses", "domains"]


class Fault(NamedTuple):
    """Why an answer is no listing.

    of_list: the list answers nobody as it should, whatever it is asked. is_entry: there is something in the list.
    """

    why: str
    of_list: bool
    is_entry: bool = False


# What single lists answer besides listings: under which domain, which octets, and what they mean.
_OWN_CODES: tuple[tuple[str, Callable[[bytes], bool], Fault], ...] = (
    ("surbl.org", lambda octets: bool(octets[3] & 1), Fault("it refuses our questions", True)),
    ("uribl.com", lambda octets: bool(octets[3] & 1), Fault("it refuses our questions", True)),
    ("dnswl.org", lambda octets: octets[1:] == b"\0\0\xff", Fault("it refuses our questions", True)),
    # Its test entry is one of them, and what it tells those who ask too much was another.
    ("dnswl.org", lambda octets: octets[1:3] == b"\0\x0a", Fault("a special case, no trust", False, True)),
    # Of the lists of domains, if they are asked about an address.
    ("spamhaus.org", lambda octets: octets[1:] in (b"\0\1\xff", b"\0\2\xff"), Fault("asked about an address", False)),
    ("spamhaus.net", lambda octets: octets[1:] in (b"\0\1\xff", b"\0\2\xff"), Fault("asked about an address", False)),
)


@dataclass(frozen=True, slots=True)
class DnsList:
    """A list, and which of its answers count.

    zone: its domain. codes: for each of the four numbers of an answer, those that count; None if all do.
    pattern: the codes as written, with "=". subjects: what it lists. public_name: the zone as it may be shown, without
    the access key in its first label.
    """

    zone: str
    codes: tuple[frozenset[int], ...] | None = None
    pattern: str = ""
    subjects: Subjects = "addresses"
    public_name: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public_name", self.hide(self.zone))

    @property
    def public_text(self) -> str:
        """As written, without the access key: so it stands in records and logs."""
        return self.public_name + self.pattern

    def hide(self, text: str) -> str:
        """A text without the zone's access key."""
        key = _access_key(self.zone)
        return text.replace(key + ".", "").replace(key, "…") if key else text

    def question(self, subject: IPAddress | str) -> str:
        """The name to ask for to learn about an address or a domain."""
        if isinstance(subject, str):
            return f"{subject}.{self.zone}"  # RFC 5782 §3
        # RFC 5782 §2.1 (octets reversed) and §2.4 (nibbles reversed), as in the names of the reverse zones.
        return f"{reversed_octets(subject)}.{self.zone}"

    def fault(self, address: IPAddress) -> Fault | None:
        """Why an answer is no listing, whatever the codes that count; None if it is one."""
        if address not in _LISTINGS:
            return Fault("not in 127.0.0.0/8", True)
        if address in _ERRORS:
            return Fault(_ERROR_NUMBERS.get(address.packed[3], "an error of the list"), True)
        for domain, matches, fault in _OWN_CODES:
            if self.zone.endswith("." + domain) and matches(address.packed):
                return fault
        return None

    def refusal(self, addresses: Iterable[IPAddress]) -> str | None:
        """Why, going by its answers, the list answers nobody as it should; None if it does."""
        for address in addresses:
            fault = self.fault(address)
            if fault and fault.of_list:
                return f"it answered {address}: {fault.why}"
        return None

    def counts(self, address: IPAddress) -> bool:
        """Whether an answer is a listing, and one of those that count."""
        return self.fault(address) is None and (
            self.codes is None
            or all(number in allowed for number, allowed in zip(address.packed, self.codes, strict=True))
        )


@lru_cache(maxsize=256)
def _access_key(zone: str) -> str:
    """The access key in a zone's first label, "" if there is none."""
    key = _ACCESS_KEY.match(zone)
    return key[0] if key else ""


def address_list(value: object) -> DnsList:
    """A list of addresses as Postfix writes it: "zone", "zone=127.0.0.2" or "zone=127.0.0.[2..11;20]"."""
    return _dns_list(
        value, "addresses", 'a block list such as "zen.spamhaus.org" or "zen.spamhaus.org=127.0.0.[2..11]"'
    )


def domain_list(value: object) -> DnsList:
    """A list of domains, written in the same way."""
    return _dns_list(
        value, "domains", 'a list of domains such as "dbl.spamhaus.org" or "dbl.spamhaus.org=127.0.1.[2..99]"'
    )


def _dns_list(value: object, subjects: Subjects, expected: str) -> DnsList:
    zone, equals, pattern = value.partition("=") if isinstance(value, str) else ("", "", "")
    zone = zone.removesuffix(".").lower()
    codes = return_codes(pattern) if equals else None
    if not is_fqdn(zone) or (equals and codes is None):
        raise ValueError(expected)
    return DnsList(zone, codes, equals + pattern, subjects)


def return_codes(pattern: str) -> tuple[frozenset[int], ...] | None:
    """The numbers that each position of a return-code filter allows; None if it is not one."""
    # The dots between brackets are ranges: only those outside separate the four positions.
    parts = re.findall(r"\[[^\[\]]*\]|[^.\[\]]+", pattern)
    if len(parts) != 4 or ".".join(parts) != pattern:
        return None
    codes = [_numbers(part[1:-1].split(";") if part[0] == "[" else [part]) for part in parts]
    return tuple(codes) if all(codes) else None


def _numbers(ranges: list[str]) -> frozenset[int]:
    """The numbers of "2..11" and "20"; none at all if one of them is wrong."""
    numbers: set[int] = set()
    for text in ranges:
        first, dots, last = text.partition("..")
        last = last if dots else first
        if not (_NUMBER.match(first) and _NUMBER.match(last) and int(first) <= int(last) <= 255):
            return frozenset()
        numbers.update(range(int(first), int(last) + 1))
    return frozenset(numbers)


def lists_in(value: Any, weight: int = 1) -> Iterator[tuple[DnsList, int]]:
    """The lists in a rule's options, wherever they stand, and what a listing weighs for rules that say so."""
    if isinstance(value, DnsList):
        yield value, weight
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from lists_in(getattr(value, field.name), getattr(value, "weight", weight))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from lists_in(part, weight)
