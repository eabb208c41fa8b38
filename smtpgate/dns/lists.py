"""DNS block and allow lists (RFC 5782): how one is written, what is asked of it, and which of its answers count."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from smtpgate.dns.resolver import Answer, reverse_name
from smtpgate.values import IPAddress, is_fqdn

# RFC 5782 §2.1: listings are answers within 127.0.0.0/8. Anything else is a dead list's parking page.
_LISTINGS = ipaddress.ip_network("127.0.0.0/8")
# Spamhaus and others answer so to open resolvers, typing errors and excessive use: an error, never a listing.
_ERRORS = ipaddress.ip_network("127.255.255.0/24")
# The first label of a zone that is a customer's own (Spamhaus DQS, Abusix): a secret, not a name.
_ACCESS_KEY = re.compile(r"[a-z0-9]{20,63}(?=\..*\..)")
_NUMBER = re.compile(r"\d{1,3}\Z")


@dataclass(frozen=True, slots=True)
class BlockList:
    """A list and which of its answers count.

    zone: its domain. codes: for each of the four numbers of an answer, those that count; None if all do.
    pattern: the codes as written.
    """

    zone: str
    codes: tuple[frozenset[int], ...] | None = None
    pattern: str = ""

    @property
    def public_text(self) -> str:
        """As written, without the access key: so it stands in records and logs."""
        return self.public_name + self.pattern

    @property
    def public_name(self) -> str:
        """The zone as it may be shown: without the access key in its first label."""
        return self.hide(self.zone)

    def hide(self, text: str) -> str:
        """A text without the zone's access key."""
        key = _ACCESS_KEY.match(self.zone)
        return text.replace(key[0] + ".", "").replace(key[0], "…") if key else text

    def counts(self, address: IPAddress) -> bool:
        """Whether an answer means that the client is listed."""
        if address not in _LISTINGS or address in _ERRORS:
            return False
        return self.codes is None or all(
            number in allowed for number, allowed in zip(address.packed, self.codes, strict=True)
        )


def block_list(value: object) -> BlockList:
    """A block list as Postfix writes it: "zone", "zone=127.0.0.2" or "zone=127.0.0.[2..11;20]"."""
    zone, equals, pattern = value.partition("=") if isinstance(value, str) else ("", "", "")
    zone = zone.removesuffix(".").lower()
    codes = _codes(pattern) if equals else None
    if not is_fqdn(zone) or (equals and codes is None):
        raise ValueError('a block list such as "zen.spamhaus.org" or "zen.spamhaus.org=127.0.0.[2..11]"')
    return BlockList(zone, codes, equals + pattern)


def _codes(pattern: str) -> tuple[frozenset[int], ...] | None:
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


def listed_name(address: IPAddress, zone: str) -> str:
    """The name under which a list would have an address.

    RFC 5782 §2.1 (octets reversed) and §2.4 (nibbles reversed), as in the names of the reverse zones.
    """
    return f"{reverse_name(address).removesuffix('.arpa').rpartition('.')[0]}.{zone}"


def list_evidence(listing: BlockList, answer: Answer) -> dict[str, Any]:
    """What the list answered, with the key hidden, and what in it was no listing."""
    seen: dict[str, Any] = {key: _hidden(value, listing) for key, value in answer.evidence.items()}
    seen["list"] = listing.public_name
    errors = [str(address) for address in answer.records if address not in _LISTINGS or address in _ERRORS]
    if errors:
        seen["list_error"] = errors[:8]
    return seen


def _hidden(value: Any, listing: BlockList) -> Any:
    return listing.hide(value) if isinstance(value, str) else value
