"""The Resolver protocol: every DNS question of this server goes through it, and every answer is typed.

A question has one of four outcomes, and none of them is an exception: a check must say what it does in each.
"""

from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, Literal, NamedTuple, Protocol

from smtpgate.values import IPAddress

RecordType = Literal["A", "AAAA", "MX", "TXT", "PTR", "CNAME", "NS", "SOA"]


class Status(StrEnum):
    """The four outcomes of a question."""

    ANSWER = "answer"
    NO_NAME = "no such name"  # NXDOMAIN
    NO_DATA = "no data"  # the name exists, without records of this type
    FAILURE = "temporary failure"  # time-out, SERVFAIL, REFUSED, garbage


_FAILURE = Status.FAILURE  # in Python 3.11 an enum is slow to give its members


class Mx(NamedTuple):
    """A mail exchanger. host: lower case without final dot; "" is the null MX (RFC 7505)."""

    preference: int
    host: str


class Answer(NamedTuple):
    """The outcome of one question.

    records: IP addresses for A and AAAA, Mx for MX, bytes for TXT (strings joined), host names (lower case, no
    final dot) for the others; empty unless status is ANSWER. ttl: seconds for which it may be kept. detail:
    why it failed, for the record.
    """

    name: str
    kind: RecordType
    status: Status
    records: tuple[Any, ...] = ()
    ttl: int = 0
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether nothing is known: neither that the records exist nor that they do not."""
        return self.status is _FAILURE

    @property
    def evidence(self) -> str:
        """The answer in a line for the record: "example.net MX: 10 mx.example.net (for 300 s)"."""
        # A client may have us ask for anything, and the record must stay small and storable.
        name = self.name[:255]
        if not name.isascii():
            name = name.encode("ascii", "backslashreplace").decode("ascii")
        if self.records:
            return f"{name} {self.kind}: {', '.join(map(_plain, self.records[:8]))} (for {self.ttl} s)"
        return f"{name} {self.kind}: {self.status}{f' ({self.detail})' if self.detail else ''}"


def _plain(record: Any) -> str:
    if isinstance(record, bytes):
        return record[:200].decode("ascii", "backslashreplace")
    if isinstance(record, Mx):
        return f"{record.preference} {record.host or '.'}"
    return str(record)


class Resolver(Protocol):
    """Asks the DNS. Names are absolute; a name that cannot be asked (too long, empty label) is NO_NAME."""

    async def query(self, name: str, kind: RecordType) -> Answer:
        """Ask one question. Never raises, except when cancelled."""
        ...


def reverse_name(address: IPAddress) -> str:
    """The name under in-addr.arpa or ip6.arpa that stands for an address (RFC 1035 §3.5, RFC 3596 §2.5)."""
    return reversed_octets(address) + (".in-addr.arpa" if isinstance(address, IPv4Address) else ".ip6.arpa")


@lru_cache(maxsize=1000)  # several lists are asked about one client
def reversed_octets(address: IPAddress) -> str:
    """The labels that stand for an address in such a name: its octets, or for IPv6 its nibbles, the last one first."""
    # ipaddress's reverse_pointer parses the address's text, and fails at the zone index of a link-local one.
    octets = address.packed
    return ".".join(map(str, reversed(octets))) if len(octets) == 4 else ".".join(reversed(octets.hex()))
