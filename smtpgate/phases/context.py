"""What the entry point hands to every check besides the facts."""

from collections.abc import Callable
from dataclasses import dataclass, field

from smtpgate.dns.resolver import Resolver
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.phases.facts import Address
from smtpgate.phases.verification import AddressVerifier, NoVerifier
from smtpgate.policy.client import PolicyClient
from smtpgate.store.entries import StoredTables
from smtpgate.store.greylist import Greylist
from smtpgate.values import IPAddress, Network, is_in

# Postfix reads these as routes to somewhere else: "user%elsewhere@ours", "elsewhere!user@ours", "a@elsewhere"@ours.
_ROUTING = frozenset("%!@")


@dataclass(frozen=True, slots=True)
class Context:
    """The services and settings that checks use.

    lists: DNS block and allow lists. clock: the wall time in seconds since 1970. relay_domains: what mail is accepted
    for, lower-case A-labels.
    own_addresses: those of this machine's interfaces. recipients: the mailboxes of relay_domains that exist, as
    Address.keys() has them; empty if they are not listed.
    tables: access tables that the store has. dotted_parents: tables have parent domains as ".example.org".
    recipient_delimiter: the characters that an address's extension may begin with.
    """

    dns: Resolver
    lists: DnsLists
    greylist: Greylist
    clock: Callable[[], float]
    hostname: str
    mynetworks: tuple[Network, ...] = ()
    relay_domains: frozenset[str] = frozenset()
    own_addresses: frozenset[IPAddress] = frozenset()
    recipients: frozenset[str] = frozenset()
    policy: PolicyClient = field(default_factory=PolicyClient)
    tables: StoredTables | None = None
    dotted_parents: bool = False
    recipient_delimiter: str = ""
    verify_sender: AddressVerifier = field(default_factory=NoVerifier)
    verify_recipient: AddressVerifier = field(default_factory=NoVerifier)

    def is_trusted(self, address: IPAddress) -> bool:
        """Whether the address lies in mynetworks."""
        return is_in(address, self.mynetworks)

    def is_ours(self, recipient: Address) -> bool:
        """Whether mail for a recipient is ours to take, whoever sends it.

        A local part that routes onwards is not ours, as with Postfix's allow_untrusted_routing = no: the downstream
        trusts this host and would pass the mail on.
        """
        if not recipient.domain:
            return True  # RFC 5321 §4.5.1: the bare "postmaster" is always ours
        return recipient.domain in self.relay_domains and not self.routes_onwards(recipient)

    def routes_onwards(self, recipient: Address) -> bool:
        """Whether the local part names another destination behind the domain's."""
        return not _ROUTING.isdisjoint(recipient.local)

    def is_unlisted(self, address: Address) -> bool:
        """Whether an address of our own domains is in no list of those that exist, although there is one."""
        if not self.recipients or address.domain not in self.relay_domains:
            return False
        # RFC 5321 §4.5.1: every domain that takes mail has a postmaster.
        return address.local.lower() != "postmaster" and self.recipients.isdisjoint(
            address.keys(self.recipient_delimiter)
        )
