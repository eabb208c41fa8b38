"""Whether a stranger's domain names this host as a backup for its mail."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smtpgate.dns.resolver import Answer, Resolver, Status
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, PERMIT, Verdict, defer_if_reject, dunno, permit
from smtpgate.values import IPAddress, Network, ip_address, is_in, list_of, network

_MOST_HOSTS = 16  # the domain's owner chooses how many it names

Addresses = Mapping[str, frozenset[IPAddress]]


@dataclass(frozen=True, slots=True)
class MxBackupOptions:
    """Whose backup we are. Postfix: permit_mx_backup_networks, proxy_interfaces."""

    networks: tuple[Network, ...] = option(
        list_of(network), [], "where all primary mail exchangers must be; [] is anywhere"
    )
    addresses: frozenset[IPAddress] = option(
        list_of(ip_address, frozenset), [], "our own besides those of this machine, such as a router's that leads here"
    )


async def permit_mx_backup(tx: Transaction, ctx: Context, options: MxBackupOptions) -> Verdict:
    """Permit a recipient that is ours, or whose domain names this host as a mail exchanger, and not as the best one.

    Postfix: permit_mx_backup; what cannot be looked up is a deferral, 450 4.4.4, of what later rules refuse.
    """
    recipient = tx.recipient
    if ctx.is_ours(recipient):
        return PERMIT
    if recipient.is_literal or ctx.routes_onwards(recipient):
        return DUNNO
    mx = await ctx.dns.query(recipient.domain, "MX")
    rejected = f"<{recipient.text[:200]}>: Recipient address rejected: Unable to look up mail exchanger"
    if mx.failed:
        return defer_if_reject(Reply(450, "4.4", f"{rejected} information"), {"dns": [mx.evidence]})
    hosts = sorted((record.preference, record.host) for record in mx.records if record.host)[:_MOST_HOSTS]
    primaries = [host for preference, host in hosts if preference == hosts[0][0]]
    backups = [host for preference, host in hosts if preference != hosts[0][0]]
    if not backups or ctx.hostname in primaries:
        return dunno({"dns": [mx.evidence]})
    addresses, seen = await _addresses(ctx.dns, [*primaries, *backups])
    evidence = {"dns": [mx.evidence, *(answer.evidence for answer in seen)]}
    ours = ctx.own_addresses | options.addresses

    def is_us(names: Iterable[str]) -> bool:
        return any(name == ctx.hostname or addresses[name] & ours for name in names)

    if not is_us(primaries) and is_us(backups) and _are_all_in(options.networks, addresses, primaries):
        return permit(evidence)
    unknown = next((name for name, found in addresses.items() if not found and name != ctx.hostname), None)
    if unknown is not None:
        return defer_if_reject(Reply(450, "4.4", f"{rejected} host {unknown[:128]}"), evidence)
    return dunno(evidence)


def _are_all_in(networks: Sequence[Network], addresses: Addresses, names: Iterable[str]) -> bool:
    if not networks:
        return True
    return all(addresses[name] and all(is_in(address, networks) for address in addresses[name]) for name in names)


async def _addresses(resolver: Resolver, names: Sequence[str]) -> tuple[Addresses, list[Answer]]:
    """The addresses of each name, and what was answered."""
    answers = await asyncio.gather(*(resolver.query(name, kind) for name in names for kind in ("A", "AAAA")))
    pairs = zip(answers[::2], answers[1::2], strict=True)
    found = {name: frozenset(inet.records + inet6.records) for name, (inet, inet6) in zip(names, pairs, strict=True)}
    return found, [answer for answer in answers if answer.status is not Status.NO_DATA]
