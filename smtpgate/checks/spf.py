"""The sender's policy (RFC 7208): whether its domain lets this client send its mail."""

from dataclasses import dataclass
from typing import Any, Literal

from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.mailauth.spf import SpfResult, evaluate_spf, received_spf
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Action, Verdict
from smtpgate.values import choice

Response = Literal["reject", "defer", "tag"]

_response = choice("reject", "defer", "tag")
_MOST_QUESTIONS = 20
# RFC 7372 §3.2; for a failed look-up Postfix's policy servers say 4.4.3 (RFC 3463: directory server failure).
_DETAILS = {"permerror": "7.24", "temperror": "4.3"}
_NOT_VALID = "7.23"


@dataclass(frozen=True, slots=True)
class SpfOptions:
    """What each result other than pass leads to. "tag" only notes it in the header."""

    fail: Response = option(_response, "reject", help="the domain says that this client must not send its mail")
    softfail: Response = option(_response, "tag", help="the domain says that it probably must not")
    neutral: Response = option(_response, "tag", help="the domain says nothing about this client")
    none: Response = option(_response, "tag", help="the domain has no record")
    permerror: Response = option(_response, "tag", help="the domain's record is in error")
    # Never a 5xx because the DNS is away.
    temperror: Response = option(choice("defer", "tag"), "defer", help="a look-up failed")


async def check_spf(tx: Transaction, ctx: Context, options: SpfOptions) -> Verdict:
    """Ask the sender's domain whether this client may send its mail; for `<>` the HELO name's domain.

    fail 550 5.7.23, permerror 550 5.7.24 (RFC 7372), temperror 451 4.4.3; deferred, the others are 451. The result
    goes into Authentication-Results and Received-SPF.
    """
    client, helo = tx.session.client_address, tx.session.helo or ""
    sender = "" if tx.sender.is_null else f"{tx.sender.local}@{tx.sender.domain}"
    spf = await evaluate_spf(ctx.dns, client, helo, sender, ctx.hostname)
    response = "tag" if spf.result == "pass" else getattr(options, spf.result)
    detail = _DETAILS.get(spf.result, _NOT_VALID)
    reply, action = None, Action.DUNNO
    if response == "reject":
        reply, action = Reply(550, detail, _text(spf, str(client))), Action.REJECT
    elif response == "defer":
        reply, action = Reply(451, detail, _text(spf, str(client))), Action.DEFER
    identity = ("smtp.mailfrom", sender) if spf.identity == "mailfrom" else ("smtp.helo", helo)
    return Verdict(
        action,
        reply,
        _evidence(spf),
        (MethodResult("spf", spf.result, spf.problem or None, (identity,)),),
        received_spf(spf, client, helo, sender, ctx.hostname),
    )


def _text(spf: SpfResult, client: str) -> str:
    match spf.result:
        case "fail" | "softfail":
            return f"SPF {spf.result}: {spf.domain} does not let {client} send its mail"
        case "neutral" | "none":
            return f"SPF {spf.result}: {spf.domain} does not say whether {client} may send its mail"
        case "permerror":
            return f"SPF error: the record of {spf.domain}, asked about {client}, is not correct"
        case _:
            return f"SPF error: the record of {spf.domain}, asked about {client}, could not be looked up"


def _evidence(spf: SpfResult) -> dict[str, Any]:
    seen: dict[str, Any] = {"result": spf.result, "domain": spf.domain, "identity": spf.identity}
    if spf.mechanism:
        seen["mechanism"] = spf.mechanism
    if spf.problem:
        seen["problem"] = spf.problem
    seen["lookups"] = [answer.evidence for answer in spf.lookups[:_MOST_QUESTIONS]]
    if len(spf.lookups) > _MOST_QUESTIONS:
        seen["more_lookups"] = len(spf.lookups) - _MOST_QUESTIONS
    return seen
