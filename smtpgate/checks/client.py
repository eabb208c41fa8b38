"""The names that the client's address has in the DNS.

Postfix refuses both when there is no name and when nobody knows (smtpd_check.c: any status but "OK" is a rejection).
The code is 450 unless unknown_client_reject_code says otherwise, and always when nobody knows, so that one failed
look-up never loses mail for good.
"""

from smtpgate.dns.lookups import Confirmation, confirmed_names, reverse_names
from smtpgate.dns.resolver import Status
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import Verdict, dunno, reject


async def reject_unknown_client_hostname(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a client whose address has no name, or none that leads back to the address.

    Postfix: reject_unknown_client_hostname, 450 4.7.25 (RFC 7372 §3.3) or what `code` says
    (unknown_client_reject_code); a temporary failure of the DNS 450.
    """
    client = tx.session.client_address
    found = await confirmed_names(ctx.dns, client)
    evidence = {**found.evidence, "outcome": found.outcome.value, "names": list(found.names)}
    if found.outcome is Confirmation.CONFIRMED:
        return dunno(evidence)
    code = 450 if found.outcome is Confirmation.FAILURE else options.code
    return reject(Reply(code, "7.25", f"Client host rejected: cannot find your hostname, [{client}]"), evidence)


async def reject_unknown_reverse_client_hostname(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a client whose address has no name at all, confirmed or not.

    Postfix: reject_unknown_reverse_client_hostname, 450 4.7.1 or what `code` says (unknown_client_reject_code); a
    temporary failure of the DNS 450.
    """
    client = tx.session.client_address
    answer = await reverse_names(ctx.dns, client)
    evidence = {"dns": [answer.evidence]}
    if answer.status is Status.ANSWER:
        return dunno(evidence)
    code = 450 if answer.failed else options.code
    return reject(Reply(code, "7.1", f"Client host rejected: cannot find your reverse hostname, [{client}]"), evidence)
