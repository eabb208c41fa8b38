"""From the settings to what finds out about addresses."""

import time

from smtpgate.config.settings import Settings
from smtpgate.dns.resolver import Resolver
from smtpgate.relay.downstream import Downstream
from smtpgate.server.interfaces import own_addresses
from smtpgate.store.verified import VerifiedAddresses
from smtpgate.verify.callout import Callout, CalloutLimits
from smtpgate.verify.downstream import DownstreamProbe
from smtpgate.verify.remembering import Lifetimes, RememberingVerifier


class Verifiers:
    """One for senders, by callout, and one for recipients, by the downstream. Neither does anything by itself."""

    def __init__(
        self, settings: Settings, resolver: Resolver, downstream: Downstream, store: VerifiedAddresses
    ) -> None:
        options, hostname = settings.verification, settings.server.hostname
        lifetimes = Lifetimes(
            options.positive_expire,
            options.positive_refresh,
            options.negative_expire,
            options.negative_refresh,
            options.wait,
        )
        limits = CalloutLimits(at_once=options.callouts, rate=options.callout_rate, private=options.private_servers)
        callout = Callout(resolver, hostname, time.monotonic, ours=own_addresses(), limits=limits)
        probe = DownstreamProbe(downstream, hostname)
        self.sender = RememberingVerifier("sender", callout, store, time.time, lifetimes=lifetimes)
        self.recipient = RememberingVerifier("recipient", probe, store, time.time, lifetimes=lifetimes)

    async def close(self) -> None:
        """Give up what is under way."""
        await self.sender.close()
        await self.recipient.close()
