"""Who has logged in, and which senders are theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, PERMIT, Verdict, reject
from smtpgate.values import mailbox

Owners = Mapping[str, frozenset[str]]


def owners(value: Any) -> Owners:
    """Which logins own a sender, as Postfix's smtpd_sender_login_maps: { "a@example.org" = "anna, admin" }."""
    try:
        return {mailbox(sender): _logins(names) for sender, names in value.items()}
    except (AttributeError, ValueError):
        raise ValueError(
            'senders and their logins such as { "a@example.org" = "anna, admin", "@example.org" = "admin" }'
        ) from None


def _logins(names: Any) -> frozenset[str]:
    found = frozenset(name.lower() for name in names.replace(",", " ").split())
    if not found:
        raise ValueError
    return found


@dataclass(frozen=True, slots=True, eq=False)  # a mapping has no hash, and rules are told apart by their options
class LoginOptions:
    """Which senders belong to whom."""

    owners: Owners = option(owners, help="the logins that own a sender, or with @domain every other sender of it")


async def permit_sasl_authenticated(tx: Transaction, ctx: Context) -> Verdict:
    """Permit clients that have logged in. Postfix: permit_sasl_authenticated."""
    return PERMIT if tx.session.login is not None else DUNNO


async def reject_sender_login_mismatch(tx: Transaction, ctx: Context, options: LoginOptions) -> Verdict:
    """Reject a sender that somebody else owns, or that has an owner while nobody has logged in.

    Postfix: reject_sender_login_mismatch, 553 5.7.1: the authenticated and the unauthenticated rule together.
    """
    if tx.session.login is None:
        return await reject_unauthenticated_sender_login_mismatch(tx, ctx, options)
    return await reject_authenticated_sender_login_mismatch(tx, ctx, options)


async def reject_authenticated_sender_login_mismatch(tx: Transaction, ctx: Context, options: LoginOptions) -> Verdict:
    """Reject a sender that is not the login's own, if the client has logged in; one without an owner is nobody's own.

    Postfix: reject_authenticated_sender_login_mismatch, 553 5.7.1.
    """
    return _of_login(tx, _owners_of(tx.sender, ctx, options) or frozenset())


async def reject_known_sender_login_mismatch(tx: Transaction, ctx: Context, options: LoginOptions) -> Verdict:
    """Reject a sender that has owners, none of which has logged in. Senders without an owner pass.

    Postfix: reject_known_sender_login_mismatch, 553 5.7.1.
    """
    found = _owners_of(tx.sender, ctx, options)
    if found is None:
        return DUNNO
    return _of_login(tx, found) if tx.session.login is not None else _not_logged_in(tx.sender)


async def reject_unauthenticated_sender_login_mismatch(tx: Transaction, ctx: Context, options: LoginOptions) -> Verdict:
    """Reject a sender that has an owner, if the client has not logged in.

    Postfix: reject_unauthenticated_sender_login_mismatch, 553 5.7.1.
    """
    if tx.session.login is not None or _owners_of(tx.sender, ctx, options) is None:
        return DUNNO
    return _not_logged_in(tx.sender)


def _owners_of(sender: Address, ctx: Context, options: LoginOptions) -> frozenset[str] | None:
    """The logins that own a sender; None if it has no owner."""
    if sender.is_null:
        return None
    return next((options.owners[key] for key in sender.keys(ctx.recipient_delimiter) if key in options.owners), None)


def _of_login(tx: Transaction, found: frozenset[str]) -> Verdict:
    """Refuse a login that is not among the owners."""
    login = tx.session.login
    if login is None or tx.sender.is_null or login.lower() in found:
        return DUNNO
    text = f"<{tx.sender.text[:256]}>: Sender address rejected: not owned by user {login[:64]}"
    return reject(Reply(553, "7.1", text), {"login": login[:256]})


def _not_logged_in(sender: Address) -> Verdict:
    return reject(Reply(553, "7.1", f"<{sender.text[:256]}>: Sender address rejected: not logged in"))
