"""How the session is protected."""

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, Verdict, reject


async def reject_plaintext_session(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a session that is not encrypted.

    Postfix: reject_plaintext_session, 450 4.7.1.
    """
    if tx.session.tls is not None:
        return DUNNO
    return reject(Reply(450, "7.1", "Session encryption is required"))
