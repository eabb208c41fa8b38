"""DNS block lists (RFC 5782). An answer that is no listing must never be taken for one: it would refuse all mail."""

from dataclasses import dataclass

from smtpgate.dns.lists import BlockList, block_list, list_evidence, listed_name
from smtpgate.dns.resolver import Resolver
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Verdict, dunno, reject

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class RblOptions:
    """Which list is asked, and which of its answers count."""

    zone: BlockList = option(
        block_list, help="the list, and after = the answers that count; without, all in 127.0.0.0/8", argument=True
    )


async def reject_rbl_client(tx: Transaction, ctx: Context, options: RblOptions) -> Verdict:
    """Reject a client whose address is on a DNS block list.

    Postfix: reject_rbl_client zone[=d.d.d.d], 554 5.7.1; a temporary failure of the list changes nothing.
    """
    client, listing = tx.session.client_address, options.zone
    name = listed_name(client, listing.zone)
    answer = await ctx.dns.query(name, "A")
    evidence = list_evidence(listing, answer)
    if not any(listing.counts(address) for address in answer.records):
        return dunno(evidence)
    reason = await _reason(name, listing, ctx.dns)
    evidence["reason"] = reason
    text = f"Service unavailable; Client host [{client}] blocked using {listing.public_name}"
    return reject(Reply(554, "7.1", f"{text}; {reason}" if reason else text), evidence)


async def _reason(name: str, listing: BlockList, dns: Resolver) -> str | None:
    """The list's own explanation, usually an address to visit (RFC 5782 §2.1)."""
    answer = await dns.query(name, "TXT")
    if not answer.records:
        return None
    text = answer.records[0].decode("ascii", "replace")
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return listing.hide(printable)[:_LONGEST_REASON].strip() or None
