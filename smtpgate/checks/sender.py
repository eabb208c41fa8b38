"""The envelope sender: could mail be sent back to it?"""

from smtpgate.dns.lookups import mail_hosts
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, Verdict, defer_if_permit, dunno, reject
from smtpgate.values import is_fqdn


async def reject_non_fqdn_sender(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a sender whose domain is not fully qualified. The null sender and address literals pass.

    Postfix: reject_non_fqdn_sender, 504 5.5.2.
    """
    address = tx.sender
    if address.is_null or address.is_literal or is_fqdn(address.domain):
        return DUNNO
    return reject(Reply(504, "5.2", f"<{address.text[:256]}>: Sender address rejected: need fully-qualified address"))


async def reject_unlisted_sender(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a sender in our own domains that `recipients` does not list. The null sender passes.

    Postfix: reject_unlisted_sender, 550 5.1.0.
    """
    if not ctx.is_unlisted(tx.sender):
        return DUNNO
    return reject(Reply(550, "1.0", f"<{tx.sender.text[:256]}>: Sender address rejected: User unknown"))


async def reject_unknown_sender_domain(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a sender whose domain cannot receive mail: no MX, no address, or a null MX.

    Postfix: reject_unknown_sender_domain, 450 4.1.8 or what `code` says (unknown_address_reject_code); null MX
    550 5.7.27 (RFC 7505 §4.2); a temporary failure of the DNS is a deferral if all else permits. Our own domains pass,
    as they may be unknown to the DNS that we ask.
    """
    address = tx.sender
    if address.is_null or address.is_literal or not address.domain or address.domain in ctx.relay_domains:
        return DUNNO
    found = await mail_hosts(ctx.dns, address.domain)
    if found.exists:
        return dunno(found.evidence)
    rejected = f"<{address.text[:256]}>: Sender address rejected"
    if found.null_mx:
        return reject(
            Reply(550, "7.27", f"{rejected}: Domain {address.domain[:128]} does not accept mail (nullMX)"),
            found.evidence,
        )
    text = f"{rejected}: Domain not found"
    if found.temporary_failure:
        return defer_if_permit(Reply(450, "1.8", text), found.evidence)
    return reject(Reply(options.code, "1.8", text), found.evidence)
