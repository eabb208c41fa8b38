"""Who may pass whatever else is asked, and whom we take mail for."""

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.subject import Subject, name_of, rejected
from smtpgate.phases.verdict import DUNNO, PERMIT, Verdict
from smtpgate.phases.verdict import defer as deferral
from smtpgate.phases.verdict import defer_if_permit as deferral_if_permit
from smtpgate.phases.verdict import defer_if_reject as deferral_if_reject
from smtpgate.phases.verdict import reject as rejection


async def permit(tx: Transaction, ctx: Context) -> Verdict:
    """Permit everything. Postfix: permit."""
    return PERMIT


async def reject(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Reject everything. Postfix: reject, 554 5.7.1."""
    return rejection(Reply(554, "7.1", rejected(name_of(subject, tx), subject, "Access denied")))


async def defer(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Defer everything. Postfix: defer, 450 4.3.2."""
    return deferral(Reply(450, "3.2", rejected(name_of(subject, tx), subject, "Try again later")))


async def defer_if_permit(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Defer what nothing refuses. Postfix: defer_if_permit, 450 4.7.0."""
    return deferral_if_permit(Reply(450, "7.0", rejected(name_of(subject, tx), subject, "defer_if_permit requested")))


async def defer_if_reject(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Defer what a later rule of this list would refuse for good. Postfix: defer_if_reject, 450 4.7.0."""
    return deferral_if_reject(Reply(450, "7.0", rejected(name_of(subject, tx), subject, "defer_if_reject requested")))


async def permit_inet_interfaces(tx: Transaction, ctx: Context) -> Verdict:
    """Permit clients on this machine: their address is one of its own. Postfix: permit_inet_interfaces."""
    return PERMIT if tx.session.client_address in ctx.own_addresses else DUNNO


async def permit_mynetworks(tx: Transaction, ctx: Context) -> Verdict:
    """Permit clients of the networks in `mynetworks`. Postfix: permit_mynetworks."""
    return PERMIT if ctx.is_trusted(tx.session.client_address) else DUNNO


async def permit_auth_destination(tx: Transaction, ctx: Context) -> Verdict:
    """Permit a recipient that is ours. Postfix: permit_auth_destination; one that routes onwards is not ours."""
    return PERMIT if ctx.is_ours(tx.recipient) else DUNNO


async def reject_unauth_destination(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a recipient that is not ours: the relay guard. Postfix: reject_unauth_destination, 554 5.7.1."""
    if ctx.is_ours(tx.recipient):
        return DUNNO
    return rejection(Reply(554, "7.1", f"<{tx.recipient.text[:256]}>: Relay access denied"))


async def defer_unauth_destination(tx: Transaction, ctx: Context) -> Verdict:
    """Defer a recipient that is not ours: a gentle relay guard. Postfix: defer_unauth_destination, 454 4.7.1."""
    if ctx.is_ours(tx.recipient):
        return DUNNO
    return deferral(Reply(454, "7.1", f"<{tx.recipient.text[:256]}>: Relay access denied"))
