"""The name that the client gives itself in HELO or EHLO."""

import ipaddress

from smtpgate.dns.lookups import host_exists
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.reply import Reply
from smtpgate.phases.verdict import DUNNO, Verdict, defer_if_permit, dunno, reject
from smtpgate.values import is_fqdn, is_host_name


async def reject_invalid_helo_hostname(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a HELO name that is neither a host name nor an address.

    Postfix: reject_invalid_helo_hostname, 501 5.5.2. As there, an address without its brackets passes.
    """
    if tx.helo.startswith("["):
        return _literal(tx.helo)
    if _is_host(tx.helo.removesuffix(".")) or _is_address(tx.helo):
        return DUNNO
    return reject(Reply(501, "5.2", f"<{tx.helo[:256]}>: Helo command rejected: Invalid name"))


async def reject_non_fqdn_helo_hostname(tx: Transaction, ctx: Context) -> Verdict:
    """Reject a HELO name that is not fully qualified.

    Postfix: reject_non_fqdn_helo_hostname, 504 5.5.2. Of an address literal only the syntax counts, 501 5.5.2.
    """
    if tx.helo.startswith("["):
        return _literal(tx.helo)
    if is_fqdn(tx.helo.removesuffix(".")):
        return DUNNO
    return reject(Reply(504, "5.2", f"<{tx.helo[:256]}>: Helo command rejected: need fully-qualified hostname"))


async def reject_unknown_helo_hostname(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a HELO name that has neither an address nor MX records.

    Postfix: reject_unknown_helo_hostname, 450 4.7.1 or what `code` says (unknown_hostname_reject_code); a temporary
    failure of the DNS is a deferral if all else permits.
    Of an address literal only the syntax counts, 501 5.5.2.
    """
    if tx.helo.startswith("["):
        return _literal(tx.helo)
    text = f"<{tx.helo[:256]}>: Helo command rejected: Host not found"
    not_found = Reply(options.code, "7.1", text)
    name = tx.helo.removesuffix(".").lower()
    if not _is_host(name):  # no name server knows it
        return reject(not_found)
    found = await host_exists(ctx.dns, name)
    if found.exists:
        return dunno(found.evidence)
    if found.temporary_failure:
        return defer_if_permit(Reply(450, "7.1", text), found.evidence)
    return reject(not_found, found.evidence)


def _literal(name: str) -> Verdict:
    """Judge an address literal: [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321 §4.1.3)."""
    inside = name[1:-1]
    if name.endswith("]"):
        if inside[:5].lower() == "ipv6:" and ":" in inside[5:] and _is_address(inside[5:]):
            return DUNNO
        if ":" not in inside and _is_address(inside):
            return DUNNO
    return reject(Reply(501, "5.2", f"<{name[:256]}>: Helo command rejected: invalid ip address"))


def _is_host(name: str) -> bool:
    # RFC 1123 §2.1: digits and dots alone are no name.
    return is_host_name(name) and not name.replace(".", "").isdigit()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone index means something on one host only
