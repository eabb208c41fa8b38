"""The recipient's address, whether or not it is ours."""

from smtpgate.dns.lookups import mail_hosts
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.reply import Reply
from smtpgate.phases.subject import Subject, name_of, rejected
from smtpgate.phases.verdict import DUNNO, Verdict, defer_if_permit, dunno, reject
from smtpgate.values import is_fqdn


async def reject_non_fqdn_recipient(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a recipient whose domain is not fully qualified.

    Postfix: reject_non_fqdn_recipient, 504 5.5.2. An address literal passes, and so does the bare "postmaster"
    (RFC 5321 §4.5.1).
    """
    address = tx.recipient
    if not address.domain or address.is_literal or is_fqdn(address.domain):
        return DUNNO
    return reject(
        Reply(504, "5.2", f"<{address.text[:256]}>: Recipient address rejected: need fully-qualified address")
    )


async def reject_unknown_recipient_domain(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a recipient whose domain cannot receive mail: no MX, no address, or a null MX.

    Postfix: reject_unknown_recipient_domain, 450 4.1.2 or what `code` says (unknown_address_reject_code); null MX
    556 5.1.10 (RFC 7505 §4.1); a temporary failure of the DNS is a deferral if all else permits. Our own domains
    pass, as they may be unknown to the DNS that we ask.
    """
    address = tx.recipient
    if address.is_literal or not address.domain or address.domain in ctx.relay_domains:
        return DUNNO
    found = await mail_hosts(ctx.dns, address.domain)
    if found.exists:
        return dunno(found.evidence)
    rejected = f"<{address.text[:256]}>: Recipient address rejected"
    if found.null_mx:
        text = f"{rejected}: Domain {address.domain[:128]} does not accept mail (nullMX)"
        return reject(Reply(556, "1.10", text), found.evidence)
    text = f"{rejected}: Domain not found"
    if found.temporary_failure:
        return defer_if_permit(Reply(450, "1.2", text), found.evidence)
    return reject(Reply(options.code, "1.2", text), found.evidence)


async def reject_unlisted_recipient(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a recipient in our own domains that `recipients` does not list.

    Postfix: reject_unlisted_recipient, 550 5.1.1. Without a list the downstream alone says who exists, when every
    rule has permitted the recipient.
    """
    if not ctx.is_unlisted(tx.recipient):
        return DUNNO
    return reject(Reply(550, "1.1", f"<{tx.recipient.text[:256]}>: Recipient address rejected: User unknown"))


async def reject_multi_recipient_bounce(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Reject a bounce to several recipients: it answers one message, which had one sender.

    Postfix: reject_multi_recipient_bounce, 550 5.5.3.
    """
    accepted = len(tx.recipients)
    # At RCPT the one that is asked about is not accepted yet; in DATA and END_OF_DATA it is.
    asked = tx.has_recipient and not any(one is tx.recipient for one in tx.recipients)
    if not tx.sender.is_null or accepted + asked < 2:
        return DUNNO
    text = rejected(name_of(subject, tx), subject, "Multi-recipient bounce")
    return reject(Reply(550, "5.3", text), {"recipients": accepted + asked})
