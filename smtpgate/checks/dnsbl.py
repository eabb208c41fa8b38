"""DNS block lists (RFC 5782)."""

from dataclasses import dataclass

from smtpgate.dnsbl.listing import DnsList, address_list
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Verdict, dunno, reject


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
