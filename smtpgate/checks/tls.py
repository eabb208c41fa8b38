"""How the session is protected, and whom the client's certificate proves it to be."""

import re
from dataclasses import dataclass
from typing import Any

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reject_code import RejectCode
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, Verdict, permit, reject
from smtpgate.values import list_of

_SHA256 = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}\Z")


def fingerprint(value: Any) -> str:
    """A SHA-256 fingerprint as OpenSSL and Postfix write it: "0A:1B:…", in capital letters or not."""
    text = value.upper() if isinstance(value, str) else ""
    if not _SHA256.match(text):
        raise ValueError('a SHA-256 fingerprint: 32 pairs of hexadecimal digits such as "0A:1B:…"')
    return text


def fingerprints(value: Any) -> frozenset[str]:
    """Several of them, and at least one."""
    found: frozenset[str] = list_of(fingerprint, frozenset)(value)
    if not found:
        raise ValueError("one fingerprint or more")
    return found


@dataclass(frozen=True, slots=True)
class CertificateOptions:
    """Who may pass. Postfix: relay_clientcerts."""

    fingerprints: frozenset[str] = option(
        fingerprints, help="SHA-256 of clients' certificates, or of their public keys"
    )


async def reject_plaintext_session(tx: Transaction, ctx: Context, options: RejectCode) -> Verdict:
    """Reject a session that is not encrypted.

    Postfix: reject_plaintext_session, 450 4.7.1 or what `code` says (plaintext_reject_code).
    """
    if tx.session.tls is not None:
        return DUNNO
    return reject(Reply(options.code, "7.1", "Session encryption is required"))


async def permit_tls_all_clientcerts(tx: Transaction, ctx: Context) -> Verdict:
    """Permit clients whose certificate somebody in `client_ca` has signed. Postfix: permit_tls_all_clientcerts."""
    shown = tx.session.tls.client_certificate if tx.session.tls else None
    return permit({"subject": shown.subject}) if shown and shown.verified else DUNNO


async def permit_tls_clientcerts(tx: Transaction, ctx: Context, options: CertificateOptions) -> Verdict:
    """Permit clients whose certificate, or its public key, has one of these fingerprints, whoever signed it.

    Postfix: permit_tls_clientcerts.
    """
    shown = tx.session.tls.client_certificate if tx.session.tls else None
    if shown is None or options.fingerprints.isdisjoint((shown.fingerprint, shown.key_fingerprint)):
        return DUNNO
    return permit({"subject": shown.subject})
