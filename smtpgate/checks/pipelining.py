"""Clients that talk without waiting for their turn."""

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.subject import Subject, name_of, rejected
from smtpgate.phases.verdict import DUNNO, Verdict, reject


async def reject_unauth_pipelining(tx: Transaction, ctx: Context, subject: Subject) -> Verdict:
    """Reject a client that talked before the banner (RFC 5321 §3.1) or sent ahead where it must wait (RFC 2920 §3.1).

    Postfix: reject_unauth_pipelining, 503 5.5.0.
    """
    session = tx.session
    if not session.early_talker and session.pipelined_after is None:
        return DUNNO
    evidence = {"early_talker": session.early_talker, "pipelined_after": session.pipelined_after}
    text = rejected(name_of(subject, tx), subject, "Improper use of SMTP command pipelining")
    return reject(Reply(503, "5.0", text), evidence)
