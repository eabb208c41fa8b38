"""The message's DKIM signatures (RFC 6376): whether one of them holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.mailauth.dkim import DkimResult, verify_dkim
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Action, Verdict
from smtpgate.values import choice

Response = Literal["reject", "defer", "tag"]
Summary = Literal["pass", "temperror", "fail", "permerror", "none"]

_response = choice("reject", "defer", "tag")
# RFC 7372 §3.1: no passing DKIM signature found.
_NO_PASS = "7.20"  # noqa: S105 - no secret
_TEXTS = {
    "none": "Message has no DKIM signature",
    "fail": "No DKIM signature of this message is valid",
    "permerror": "No DKIM signature of this message can be verified",
    "temperror": "The key of a DKIM signature could not be looked up",
}


@dataclass(frozen=True, slots=True)
class DkimOptions:
    """What a message without a valid signature leads to. "tag" only notes it in the header."""

    fail: Response = option(_response, "tag", help="signatures do not hold")
    none: Response = option(_response, "tag", help="there is no signature")
    permerror: Response = option(_response, "tag", help="signatures or their keys are in error")
    # Never a 5xx because the DNS is away.
    temperror: Response = option(choice("defer", "tag"), "tag", help="a key could not be looked up")


async def check_dkim(tx: Transaction, ctx: Context, options: DkimOptions) -> Verdict:
    """Verify the message's DKIM signatures; one that holds is enough.

    fail, permerror and none 550 5.7.20 (RFC 7372), temperror 451 4.4.3; deferred, all are 451. All results go into
    Authentication-Results.
    """
    signatures = await verify_dkim(ctx.dns, tx.message, clock=ctx.clock)
    summary = _summary(signatures)
    response = "tag" if summary == "pass" else getattr(options, summary)
    detail = "4.3" if summary == "temperror" else _NO_PASS
    reply, action = None, Action.DUNNO
    if response == "reject":
        reply, action = Reply(550, detail, _TEXTS[summary]), Action.REJECT
    elif response == "defer":
        reply, action = Reply(451, detail, _TEXTS[summary]), Action.DEFER
    evidence = {"result": summary, "signatures": [asdict(signature) for signature in signatures]}
    results = tuple(map(_method_result, signatures)) or (MethodResult("dkim", "none"),)
    return Verdict(action, reply, evidence, results)


def _summary(signatures: Sequence[DkimResult]) -> Summary:
    """The best that can be said of the message."""
    results = {
        # RFC 6376 §3.6.1, t=y: while a domain tries it out, a failure counts as no signature.
        "none" if signature.testing and signature.result != "pass" else signature.result
        for signature in signatures
    }
    if "pass" in results:
        return "pass"
    if "temperror" in results:
        return "temperror"
    if results & {"fail", "policy", "neutral"}:
        return "fail"
    return "permerror" if "permerror" in results else "none"


def _method_result(signature: DkimResult) -> MethodResult:
    reason = signature.reason
    if signature.testing:
        reason = f"{reason}; test mode" if reason else "test mode"
    properties = (
        ("header.d", signature.domain),
        ("header.s", signature.selector),
        ("header.a", signature.algorithm),
        ("header.b", signature.b),
    )
    return MethodResult(
        "dkim", signature.result, reason or None, tuple((name, value) for name, value in properties if value)
    )
