"""Whether mail for an address would be taken where it goes (Postfix's ADDRESS_VERIFICATION_README)."""

from dataclasses import dataclass
from typing import Any

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, Verdict, defer_if_permit, dunno, reject
from smtpgate.phases.verification import Finding, Verification

# The text of a probe's answer that a reply repeats at most, as in Postfix.
_LONGEST_REASON = 250


def reject_code(value: Any) -> int:
    """450 or 550."""
    if value not in (450, 550) or isinstance(value, bool):
        raise ValueError("450 or 550")
    return int(value)


@dataclass(frozen=True, slots=True)
class VerificationOptions:
    """What an undeliverable address is answered."""

    code: int = option(
        reject_code, 450, "of the reply to an undeliverable address; 450 lets the rest of the list go on"
    )


async def reject_unverified_recipient(tx: Transaction, ctx: Context, options: VerificationOptions) -> Verdict:
    """Reject a recipient that the downstream would not take.

    Postfix: reject_unverified_recipient. With code 450 (unverified_recipient_reject_code) defer if permit, 450 4.1.1;
    with code 550 reject, 550 5.1.1. Not known, or not yet: defer if permit, 450 4.1.1.
    """
    found = await ctx.verify_recipient.verify(tx.recipient)
    return _verdict(found, tx.recipient, "Recipient address", "1.1", options)


async def reject_unverified_sender(tx: Transaction, ctx: Context, options: VerificationOptions) -> Verdict:
    """Reject a sender whose domain's mail servers would not take a bounce for it, by asking them.

    Postfix: reject_unverified_sender. With code 450 (unverified_sender_reject_code) defer if permit, 450 4.1.7; with
    code 550 reject, 550 5.1.7. Not known, or not yet: defer if permit, 450 4.1.7. The null sender, address literals and
    our own domains pass.
    """
    sender = tx.sender
    if not sender.domain or sender.is_literal or sender.domain in ctx.relay_domains:
        return DUNNO
    found = await ctx.verify_sender.verify(sender)
    return _verdict(found, sender, "Sender address", "1.7", options)


def _verdict(found: Verification, address: Address, what: str, detail: str, options: VerificationOptions) -> Verdict:
    evidence = {"finding": found.finding.value, **found.evidence}
    rejected = f"<{address.text[:256]}>: {what} rejected"
    match found.finding:
        case Finding.DELIVERABLE:
            return dunno(evidence)
        case Finding.UNDELIVERABLE if options.code == 550:
            return reject(Reply(550, detail, f"{rejected}: undeliverable address: {_reason(found)}"), evidence)
        case Finding.PENDING:
            reason = "Address verification in progress"
        case _:
            reason = _reason(found)
    return defer_if_permit(Reply(450, detail, f"{rejected}: unverified address: {reason}"), evidence)


def _reason(found: Verification) -> str:
    return found.reason[:_LONGEST_REASON] or "Address verification problem"
