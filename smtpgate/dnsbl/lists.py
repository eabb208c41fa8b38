"""What every check asks lists through: an answer that counts, or the reason why none does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smtpgate.dns.resolver import Answer, Resolver
from smtpgate.dnsbl.listing import DnsList
from smtpgate.values import IPAddress

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """What a list said about an address or a domain.

    codes: its answers that are listings and count, as DnsList.counts() has it. failed: nobody knows (temporary
    failure, or the list fails and was not asked). suspended: it is not believed at present, and was not asked. Both
    mean "not listed" to who refuses mail by it. name: the question. evidence: plain data for the record.
    """

    listing: DnsList
    name: str
    evidence: Mapping[str, Any]
    codes: tuple[IPAddress, ...] = ()
    failed: bool = False
    suspended: bool = False

    @property
    def listed(self) -> bool:
        """Whether it is listed, as far as the rule cares."""
        return bool(self.codes)


class DnsLists:
    """Asks lists, and knows which of them can be believed. dns: answers from memory where it can."""

    def __init__(self, dns: Resolver) -> None:
        self._dns = dns

    async def ask(self, listing: DnsList, subject: IPAddress | str, client: IPAddress) -> ListAnswer:
        """Ask a list about an address or, without final dot, a domain. Never raises, except when cancelled.

        client: on whose account, which is the subject itself where that is an address.
        """
        name = listing.question(subject)
        answer = await self._dns.query(name, "A")
        counting = tuple(address for address in answer.records if listing.counts(address))
        return ListAnswer(listing, name, _evidence(listing, answer), counting, answer.failed)

    async def reason(self, answer: ListAnswer) -> str | None:
        """The list's own explanation, often an address to visit (RFC 5782 §2.1): printable, at most 200 characters."""
        texts = await self._dns.query(answer.name, "TXT")
        if not texts.records:
            return None
        text = texts.records[0].decode("ascii", "replace")
        printable = "".join(char if " " <= char <= "~" else "?" for char in text)
        return answer.listing.hide(printable)[:_LONGEST_REASON].strip() or None


def _evidence(listing: DnsList, answer: Answer) -> dict[str, Any]:
    """What the list answered, with the key hidden, and what in it was no listing."""
    seen: dict[str, Any] = {
        key: listing.hide(value) if isinstance(value, str) else value for key, value in answer.evidence.items()
    }
    seen["list"] = listing.public_name
    faults = [(address, fault) for address in answer.records if (fault := listing.fault(address))]
    if faults:
        seen["list_error"] = [f"{address}: {fault.why}" for address, fault in faults[:8]]
    return seen
