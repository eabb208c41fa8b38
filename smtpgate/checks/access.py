"""Who may pass whatever else is asked, and whom we take mail for."""

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, PERMIT, Verdict
from smtpgate.phases.verdict import defer as deferral
from smtpgate.phases.verdict import reject as rejection

# Postfix reads these as routes to somewhere else: "user%elsewhere@ours", "elsewhere!user@ours", "a@elsewhere"@ours.
_ROUTING = frozenset("%!@")


async def permit(tx: Transaction, ctx: Context) -> Verdict:
    """Permit everything. Postfix: permit."""
    return PERMIT


async def reject(tx: Transaction, ctx: Context) -> Verdict:
    """Reject everything. Postfix: reject, 554 5.7.1."""
    return rejection(Reply(554, "7.1", "Access denied"))


async def defer(tx: Transaction, ctx: Context) -> Verdict:
    """Defer everything. Postfix: defer, 450 4.3.2."""
    return deferral(Reply(450, "3.2", "Try again later"))


async def permit_mynetworks(tx: Transaction, ctx: Context) -> Verdict:
    """Permit clients of the networks in `mynetworks`. Postfix: permit_mynetworks."""
    return PERMIT if ctx.is_trusted(tx.session.client_address) else DUNNO


async def reject_unauth_destination(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a recipient that is not ours: the relay guard. Postfix: reject_unauth_destination, 554 5.7.1.

    A local part that routes onwards is not ours either, as with Postfix's allow_untrusted_routing = no: the
    downstream trusts this host and would pass the mail on.
    """
    if _is_ours(tx.recipient, ctx):
        return DUNNO
    return rejection(Reply(554, "7.1", f"<{tx.recipient.text[:256]}>: Relay access denied"))


def _is_ours(recipient: Address, ctx: Context) -> bool:
    if not recipient.domain:
        return True  # RFC 5321 §4.5.1: the bare "postmaster" is always ours
    return recipient.domain in ctx.relay_domains and _ROUTING.isdisjoint(recipient.local)
