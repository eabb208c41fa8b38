"""Greylisting (RFC 6647): a stranger's first attempt is put off; who comes back, as every MTA does, is let in."""

import ipaddress
import math
import re
from dataclasses import dataclass

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, Verdict, defer, dunno
from smtpgate.store.greylist import Triplet
from smtpgate.values import IPAddress, duration, prefix_length

_NUMBER = re.compile(r"\b\d+\b")


@dataclass(frozen=True, slots=True)
class GreylistOptions:
    """How long to put off and to remember. Times in seconds, prefix lengths in bits. Defaults are Postgrey's."""

    delay: float = option(duration, "5m", "how long a new triplet is put off")
    window: float = option(duration, "2d", "how long after its first attempt a new triplet may come back")
    lifetime: float = option(duration, "35d", "how long a triplet that passed is remembered after it was last seen")
    ipv4_prefix: int = option(prefix_length(32), 24, "how much of an IPv4 address counts: senders have neighbours")
    ipv6_prefix: int = option(prefix_length(128), 64, "how much of an IPv6 address counts")


async def greylist(tx: Transaction, ctx: Context, options: GreylistOptions) -> Verdict:
    """Put off the first mail of an unknown client network, sender and recipient. 450 4.2.0, as Postgrey.

    Bounces, whose sender is null, always pass: whoever sends one to verify an address would never come back.
    """
    if tx.sender.is_null:
        return DUNNO
    now = ctx.clock()
    triplet = Triplet(_network(tx.session.client_address, options), _sender_key(tx.sender), _key(tx.recipient))
    seen = await ctx.greylist.greylist(
        triplet, now, delay=options.delay, window=options.window, lifetime=options.lifetime
    )
    age = max(0.0, now - seen.first)
    evidence = {**triplet._asdict(), "first_seen": seen.first, "age": round(age, 1), "passes": seen.passes}
    if seen.passes:
        return dunno(evidence)
    wait = max(1, math.ceil(options.delay - age))
    return defer(Reply(450, "2.0", f"Greylisted, please try again in {wait} seconds"), evidence)


def _network(address: IPAddress, options: GreylistOptions) -> str:
    if address.version == 4:
        return str(ipaddress.IPv4Network((int(address), options.ipv4_prefix), strict=False))
    # int() drops the zone index of a link-local address, which no network has.
    return str(ipaddress.IPv6Network((int(address), options.ipv6_prefix), strict=False))


def _key(address: Address) -> str:
    return f"{address.local}@{address.domain}".lower()


def _sender_key(sender: Address) -> str:
    """A sender whose numbers do not count: mailing lists put one into each message's sender (VERP).

    As Postgrey does: what follows a "+" is dropped and whole numbers become "#".
    """
    local = _NUMBER.sub("#", sender.local.partition("+")[0] or sender.local)
    return f"{local}@{sender.domain}".lower()
