"""Whether mail for an address would be taken where it goes: what checks may ask, and what they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from smtpgate.phases.facts import Address


class Finding(Enum):
    """What is known about an address."""

    DELIVERABLE = "deliverable"
    UNDELIVERABLE = "undeliverable"
    UNKNOWN = "unknown"  # nobody could be asked, or who was asked put it off
    PENDING = "pending"  # the answer is not there yet


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer. reason: for the client, in a few words, "" if there is none. evidence: for the record."""

    finding: Finding
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


class AddressVerifier(Protocol):
    """Finds out about addresses, and remembers."""

    async def verify(self, address: Address) -> Verification:
        """What is known, after a short while at most. Never raises, except when cancelled."""
        ...


class NoVerifier:
    """Knows nothing."""

    async def verify(self, address: Address) -> Verification:
        """Nothing."""
        return Verification(Finding.UNKNOWN)
