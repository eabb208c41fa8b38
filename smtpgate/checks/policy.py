"""Questions to policy services that speak Postfix's policy delegation protocol (SMTPD_POLICY_README)."""

import asyncio
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smtpgate.dns.lookups import confirmed_names, reverse_names
from smtpgate.phases.access_result import parse_result
from smtpgate.phases.access_table import AccessTable, TableUse
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import option
from smtpgate.phases.subject import Subject, name_of
from smtpgate.phases.verdict import Verdict
from smtpgate.policy.connection import PolicyUnavailable
from smtpgate.policy.service import PolicyLimits, PolicyService, policy_service
from smtpgate.tables.indexed import Static
from smtpgate.values import above_zero, count, duration, text, unmapped

# What a Postfix says that has these attributes: services compare it with numbers.
_LIKE_POSTFIX = "3.9"
_UNKNOWN = "unknown"
_LONGEST_EVIDENCE = 500


def policy_action(value: Any) -> TableUse:
    """What a service could have answered; read as its answers are, for the place where they take effect."""
    try:
        result = parse_result(value if isinstance(value, str) else "")
    except ValueError:
        result = None
    if result is None or result.names:
        raise ValueError('an action such as "DUNNO", "451 4.3.5 Server configuration problem" or "DEFER_IF_PERMIT"')
    return TableUse(AccessTable(value, Static(value)))


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Which service, and how it is talked to. Times in seconds; names and defaults are Postfix's."""

    service: PolicyService = option(policy_service, help="`inet:HOST:PORT` or `unix:PATH`", argument=True)
    timeout: float = option(above_zero(duration), "100s", "how long one try may take")
    try_limit: int = option(count, 2, "how often the service is tried")
    retry_delay: float = option(duration, "1s", "how long to wait before the next try")
    max_idle: float = option(above_zero(duration), "300s", "how long a connection is kept without work")
    max_ttl: float = option(above_zero(duration), "1000s", "how long a connection is kept in all")
    default_action: TableUse = option(
        policy_action, "451 4.3.5 Server configuration problem", "what it means that the service does not answer"
    )
    policy_context: str = option(text, "", "told to the service, so that it can tell the rules apart that ask it")

    @property
    def limits(self) -> PolicyLimits:
        """The same for the client."""
        return PolicyLimits(self.timeout, self.try_limit, self.retry_delay, self.max_idle, self.max_ttl)


async def check_policy_service(tx: Transaction, ctx: Context, options: PolicyOptions, subject: Subject) -> Verdict:
    """Ask a policy service, and do what it says.

    Postfix: check_policy_service. A service that does not answer, or answers nonsense, is what `default_action` says,
    451 4.3.5 as in Postfix.
    """
    attributes = dict(_attributes(tx))
    name, reverse_name = await _client_names(tx, ctx)
    attributes |= {"client_name": name, "reverse_client_name": reverse_name, "policy_context": options.policy_context}
    evidence: dict[str, Any] = {"service": str(options.service)}
    actions = options.default_action
    try:
        answer = await ctx.policy.ask(options.service, attributes.items(), tx.ref, options.limits)
        evidence["action"] = answer[:_LONGEST_EVIDENCE]
        result, rules = actions.read(answer)
    except (PolicyUnavailable, ValueError) as trouble:
        evidence["failure"] = str(trouble)[:_LONGEST_EVIDENCE]
        result, rules = actions.read(actions.public_text)
    about = f"{name}[{tx.session.client_address}]" if subject is Subject.CLIENT else name_of(subject, tx)
    return result.verdict(subject, about, evidence, rules)


async def _client_names(tx: Transaction, ctx: Context) -> tuple[str, str]:
    """The client's name if it leads back to the client, and the one that the owner of the address gives it."""
    if tx.session.client_name is not None:
        return tx.session.client_name, tx.session.client_name
    client = tx.session.client_address
    confirmed, reverse = await asyncio.gather(confirmed_names(ctx.dns, client), reverse_names(ctx.dns, client))
    given = str(reverse.records[0]) if reverse.records else _UNKNOWN
    return (confirmed.names[0] if confirmed.names else _UNKNOWN), given


def _attributes(tx: Transaction) -> Iterator[tuple[str, str]]:
    """What Postfix 3.9 tells, in its order (smtpd_check.c: check_policy_service); names are still to be looked up."""
    session, phase, tls = tx.session, tx.phase, tx.session.tls
    local, local_port = (session.local or ("", 0))[:2]
    yield "request", "smtpd_access_policy"
    yield "protocol_state", _state(tx)
    yield "protocol_name", "ESMTP" if session.esmtp else "SMTP"
    yield "client_address", session.client
    yield "client_name", _UNKNOWN
    yield "client_port", str(session.client_port)
    yield "reverse_client_name", _UNKNOWN
    yield "server_address", str(unmapped(ipaddress.ip_address(local))) if local else ""
    yield "server_port", str(local_port)
    yield "helo_name", session.helo or ""
    yield "sender", _unquoted(tx.sender) if tx.has_sender else ""
    yield "recipient", _unquoted(tx.recipient) if tx.has_recipient else ""
    counted = phase in (Phase.DATA, Phase.END_OF_DATA)
    yield "recipient_count", str(len(tx.recipients) if counted else 0)
    yield "queue_id", tx.ref if tx.recipients else ""
    yield "instance", tx.ref
    yield "size", str(tx.message.content.size if phase is Phase.END_OF_DATA else tx.size or 0)
    yield "etrn_domain", ""
    yield "stress", ""
    yield "sasl_method", "XCLIENT" if session.login else ""
    yield "sasl_username", session.login or ""
    yield "sasl_sender", ""
    shown = tls.client_certificate if tls else None
    # Whose names it has is known only if somebody who is trusted signed it; the fingerprint proves itself.
    yield "ccert_subject", _xtext(shown.subject) if shown and shown.verified else ""
    yield "ccert_issuer", _xtext(shown.issuer) if shown and shown.verified else ""
    yield "ccert_fingerprint", shown.fingerprint if shown else ""
    yield "ccert_pubkey_fingerprint", shown.key_fingerprint if shown else ""
    yield "encryption_protocol", tls.version if tls else ""
    yield "encryption_cipher", tls.cipher if tls else ""
    yield "encryption_keysize", str(tls.bits if tls else 0)
    yield "tls_sni", tls.sni or "" if tls else ""
    yield "policy_context", ""
    yield "compatibility_level", _LIKE_POSTFIX
    yield "mail_version", _LIKE_POSTFIX


def _xtext(value: str) -> str:
    """RFC 3461 §4, as Postfix sends names from certificates."""
    return "".join(
        chr(octet) if 33 <= octet <= 126 and octet not in b"+=" else f"+{octet:02X}" for octet in value.encode()
    )


def _state(tx: Transaction) -> str:
    match tx.phase:
        case None | Phase.CLIENT:
            return "CONNECT"
        case Phase.HELO:
            return "EHLO" if tx.session.esmtp else "HELO"
        case Phase.END_OF_DATA:
            return "END-OF-MESSAGE"
        case phase:
            return phase.name


def _unquoted(address: Address) -> str:
    """As Postfix has it inside: without quotes, the domain as the client wrote it."""
    return f"{address.local}@{address.text.rpartition('@')[2]}" if address.domain else address.text
