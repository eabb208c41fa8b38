"""The recipient's address, whether or not it is ours."""

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, Verdict, reject
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
