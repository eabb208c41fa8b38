"""What the entry point hands to every check besides the facts."""

from collections.abc import Callable
from dataclasses import dataclass

from smtpgate.dns.resolver import Resolver
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.store.greylist import Greylist
from smtpgate.values import IPAddress, Network


@dataclass(frozen=True, slots=True)
class Context:
    """The services and settings that checks use.

    lists: DNS block and allow lists. clock: the wall time in seconds since 1970. relay_domains: what mail is accepted
    for, lower-case A-labels.
    """

    dns: Resolver
    lists: DnsLists
    greylist: Greylist
    clock: Callable[[], float]
    hostname: str
    mynetworks: tuple[Network, ...] = ()
    relay_domains: frozenset[str] = frozenset()

    def is_trusted(self, address: IPAddress) -> bool:
        """Whether the address lies in mynetworks."""
        return any(address in network for network in self.mynetworks)
