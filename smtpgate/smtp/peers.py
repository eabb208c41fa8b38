"""Who may speak for others."""

from collections.abc import Sequence
from dataclasses import dataclass

from smtpgate.values import Network


@dataclass(frozen=True, slots=True)
class TrustedPeers:
    """Networks of servers that are believed when they say who the client is.

    xclient, xforward: by these commands. proxies: by the PROXY protocol, on any listener.
    """

    xclient: Sequence[Network] = ()
    xforward: Sequence[Network] = ()
    proxies: Sequence[Network] = ()

    @property
    def all(self) -> tuple[Network, ...]:
        """All of them. They bring everybody's connections, so that the limits of one client do not hold for them."""
        return (*self.xclient, *self.xforward, *self.proxies)
