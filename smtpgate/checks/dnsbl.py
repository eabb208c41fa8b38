"""DNS lists of addresses (RFC 5782): block lists, and allow lists."""

from dataclasses import dataclass

from smtpgate.dnsbl.listing import DnsList, address_list
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Verdict, defer_if_reject, dunno, permit, reject


@dataclass(frozen=True, slots=True)
class RblOptions:
    """Which list is asked, and which of its answers count."""

    zone: DnsList = option(
        address_list, help="the list, and after = the answers that count; without, all in 127.0.0.0/8", argument=True
    )


async def reject_rbl_client(tx: Transaction, ctx: Context, options: RblOptions) -> Verdict:
    """Reject a client whose address is on a DNS block list.

    Postfix: reject_rbl_client zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    client = tx.session.client_address
    answer = await ctx.lists.ask(options.zone, client, client)
    if not answer.listed:
        return dunno(answer.evidence)
    reason = await ctx.lists.reason(answer)
    text = f"Service unavailable; Client host [{client}] blocked using {options.zone.public_name}"
    return reject(Reply(554, "7.1", f"{text}; {reason}" if reason else text), {**answer.evidence, "reason": reason})


async def permit_dnswl_client(tx: Transaction, ctx: Context, options: RblOptions) -> Verdict:
    """Permit a client whose address is on a DNS allow list.

    Postfix: permit_dnswl_client zone[=d.d.d.d]; a temporary failure of the list is a deferral, 450 4.7.1, of what later
    rules refuse. As there, it is not asked about recipients that are not ours.
    """
    client = tx.session.client_address
    answer = await ctx.lists.ask(options.zone, client, client)
    if answer.listed:
        return permit(answer.evidence)
    if answer.failed:
        text = f"<{client}>: Client host rejected: Service unavailable"
        return defer_if_reject(Reply(450, "7.1", text), answer.evidence)
    return dunno(answer.evidence)
