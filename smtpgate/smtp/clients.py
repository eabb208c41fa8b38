"""What one client network may take: connections at one time; connections, messages and recipients a minute."""

from collections.abc import Sequence

from smtpgate.phases.reply import Reply
from smtpgate.smtp.client_table import MESSAGES, RECIPIENTS, ClientCounts
from smtpgate.smtp.limits import DialogLimits
from smtpgate.values import IPAddress, Network, is_in

# Codes and classes are Postfix's (smtpd_client_*_limit).
TOO_MANY_CONNECTIONS = Reply(421, "7.0", "Too many connections from your network, please close some first")
TOO_MANY_NEW_CONNECTIONS = Reply(421, "7.0", "Too many connections from your network in one minute, please slow down")
TOO_MUCH_MAIL = Reply(450, "7.1", "Too many messages from your network in one minute, please slow down")
TOO_MANY_RECIPIENTS = Reply(450, "7.1", "Too many recipients from your network in one minute, please slow down")


def client_network(address: IPAddress, limits: DialogLimits) -> bytes:
    """The network that counts as one client, as a key."""
    if address.version == 4:
        return (int(address) >> 32 - limits.ipv4_prefix).to_bytes(4)
    return (int(address) >> 128 - limits.ipv6_prefix).to_bytes(16)  # never as long as one of IPv4


class ClientLimits:
    """Counts what clients do and says when it is too much. mynetworks: clients that are neither counted nor limited."""

    def __init__(self, limits: DialogLimits, mynetworks: Sequence[Network], counts: ClientCounts) -> None:
        self._limits = limits
        self._mynetworks = mynetworks
        self._counts = counts if _has_limits(limits) else None

    def guest(self, address: IPAddress) -> "Guest | None":
        """A new connection's account, to be closed with it; None if nothing is counted for this client."""
        if is_in(address, self._mynetworks):
            return None
        return Guest(client_network(address, self._limits), self._limits, self._counts)


class Guest:
    """One connection's account with its network. counts: None if nothing is limited.

    refusal: why it may not come in.
    """

    __slots__ = ("_counts", "_limits", "network", "refusal")

    def __init__(self, network: bytes, limits: DialogLimits, counts: ClientCounts | None) -> None:
        self.network = network
        self._limits = limits
        self._counts = counts
        self.refusal: Reply | None = None
        if counts is None:
            return
        opened, in_this_minute = counts.open(network)
        if 0 < limits.client_connections < opened:
            self.refusal = TOO_MANY_CONNECTIONS
        elif 0 < limits.client_connection_rate < in_this_minute:
            self.refusal = TOO_MANY_NEW_CONNECTIONS

    def message(self) -> Reply | None:
        """One more message is begun; a reply is a refusal."""
        rate = self._limits.client_message_rate
        return TOO_MUCH_MAIL if self._counts and rate and self._counts.add(self.network, MESSAGES) > rate else None

    def recipient(self) -> Reply | None:
        """One more recipient is given; a reply is a refusal."""
        rate = self._limits.client_recipient_rate
        return (
            TOO_MANY_RECIPIENTS if self._counts and rate and self._counts.add(self.network, RECIPIENTS) > rate else None
        )

    def close(self) -> None:
        """The connection is over."""
        if self._counts is not None:
            self._counts.close(self.network)


def _has_limits(limits: DialogLimits) -> bool:
    return any(
        (
            limits.client_connections,
            limits.client_connection_rate,
            limits.client_message_rate,
            limits.client_recipient_rate,
        )
    )
