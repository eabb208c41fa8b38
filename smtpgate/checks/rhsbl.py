"""DNS lists of domains (RFC 5782 §3): of the client's names, the HELO name, the sender, the recipient.

As in Postfix, names that end in a number are never asked about: they are addresses, of which such lists know nothing.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from smtpgate.dns.lookups import confirmed_names, reverse_names
from smtpgate.dnsbl.listing import DnsList, domain_list
from smtpgate.dnsbl.lists import ListAnswer
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Session, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, Verdict, defer_if_reject, dunno, permit, reject
from smtpgate.values import domain

_MOST_NAMES = 10  # of a client: its owner chooses how many it has


@dataclass(frozen=True, slots=True)
class RhsblOptions:
    """Which list is asked, and which of its answers count."""

    zone: DnsList = option(
        domain_list, help="the list, and after = the answers that count; without, all in 127.0.0.0/8", argument=True
    )


async def reject_rhsbl_client(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Reject a client one of whose confirmed names is on a list of domains.

    Postfix: reject_rhsbl_client zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    return await _reject("Client host", await _names(tx.session, ctx), tx, ctx, options)


async def reject_rhsbl_reverse_client(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Reject a client one of whose names, confirmed or not, is on a list of domains.

    Postfix: reject_rhsbl_reverse_client zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    answer = await reverse_names(ctx.dns, tx.session.client_address)
    return await _reject("Unverified Client host", sorted(answer.records), tx, ctx, options)


async def reject_rhsbl_helo(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Reject a HELO name that is on a list of domains. Address literals pass.

    Postfix: reject_rhsbl_helo zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    return await _reject("Helo command", [tx.helo], tx, ctx, options)


async def reject_rhsbl_sender(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Reject a sender whose domain is on a list of domains. The null sender and address literals pass.

    Postfix: reject_rhsbl_sender zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    return await _reject("Sender address", [tx.sender.domain], tx, ctx, options, tx.sender)


async def reject_rhsbl_recipient(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Reject a recipient whose domain is on a list of domains. Address literals pass.

    Postfix: reject_rhsbl_recipient zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    return await _reject("Recipient address", [tx.recipient.domain], tx, ctx, options, tx.recipient)


async def permit_rhswl_client(tx: Transaction, ctx: Context, options: RhsblOptions) -> Verdict:
    """Permit a client one of whose confirmed names is on an allow list of domains.

    Postfix: permit_rhswl_client zone[=d.d.d.d]; a temporary failure of the list is a deferral, 450 4.7.1, of what later
    rules refuse. As there, it is not asked about recipients that are not ours.
    """
    names = await _names(tx.session, ctx)
    answers = await _ask(options.zone, names, tx, ctx)
    evidence = {"lists": [answer.evidence for answer in answers]}
    if any(answer.listed for answer in answers):
        return permit(evidence)
    if any(answer.failed for answer in answers):
        text = f"<{names[0][:256]}>: Client host rejected: Service unavailable"
        return defer_if_reject(Reply(450, "7.1", text), evidence)
    return dunno(evidence)


async def _reject(
    kind: str, names: Iterable[str], tx: Transaction, ctx: Context, options: RhsblOptions, what: Address | None = None
) -> Verdict:
    """Refuse a name that is listed. kind: what it is, in the reply. what: the mailbox that has it."""
    answers = await _ask(options.zone, names, tx, ctx)
    if not answers:
        return DUNNO
    evidence = {"lists": [answer.evidence for answer in answers]}
    listed = next((answer for answer in answers if answer.listed), None)
    if listed is None:
        return dunno(evidence)
    reason = await ctx.lists.reason(listed)
    subject = what.text if what else listed.answer.name.removesuffix(f".{options.zone.zone}")
    text = f"Service unavailable; {kind} [{subject[:128]}] blocked using {options.zone.public_name}"
    return reject(Reply(554, "7.1", f"{text}; {reason}" if reason else text), {**evidence, "reason": reason})


async def _ask(listing: DnsList, names: Iterable[str], tx: Transaction, ctx: Context) -> list[ListAnswer]:
    """What the list says of each name that is one of a domain."""
    asked = list(dict.fromkeys(name for name in map(_domain, names) if name))[:_MOST_NAMES]
    return await asyncio.gather(*(ctx.lists.ask(listing, name, tx.session.client_address) for name in asked))


def _domain(name: str) -> str:
    """The name as A-labels; "" if it is none that a list of domains could have."""
    try:
        name = domain(name)
    except ValueError:
        return ""
    return "" if name.rpartition(".")[2].isdigit() else name


async def _names(session: Session, ctx: Context) -> list[str]:
    """The client's host names: the one that a trusted server told, or those that lead back to its address."""
    if session.client_name is not None:
        return [session.client_name]
    return [*(await confirmed_names(ctx.dns, session.client_address)).names]
