"""Access tables: what the administrator has written down about clients, names and addresses (Postfix: access(5)).

A table is asked for what is known, then for the domains and networks that hold it; the first key that is there
decides, even if it says DUNNO. Where the DNS knows nothing, nothing is found.
"""

import asyncio
import functools
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.dns.lookups import confirmed_names, reverse_names
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.phases.access_table import TableUse, table_option
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.rule import option
from smtpgate.phases.subject import Subject
from smtpgate.phases.verdict import DUNNO, Action, Verdict, dunno
from smtpgate.tables.keys import Key, address_keys, domain_keys, mail_keys
from smtpgate.values import is_address, is_host_name

# As in Postfix, what a client without a (confirmed) name is called.
UNKNOWN = "unknown"
# Postfix: smtpd_null_access_lookup_key.
NULL_SENDER_KEY = Key("<>")
# Who is asked about chooses how many servers there are, and how many labels a name has, each of which may be a zone of
# its own: up to 127. Postfix stops at 100 addresses, and asks about every label; for labels this is the number of
# RFC 9156 §2.3, for the same reason.
_MOST_SERVERS = 20
_MOST_ADDRESSES = 100
_MOST_LABELS = 10
_MOST_EVIDENCE = 8
_LONGEST_EVIDENCE = 300

Check = Callable[..., Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Which table is asked."""

    table: TableUse = option(table_option, help="the table: a file, one of the store or of `[tables]`", argument=True)


@dataclass(frozen=True, slots=True)
class ForeignNamesOptions(AccessOptions):
    """Which table is asked about names that anybody can give himself: it must not say OK."""

    table: TableUse = option(
        functools.partial(table_option, permits=False),
        help="the table: a file, one of the store or of `[tables]`; OK is not allowed",
        argument=True,
    )


async def check_client_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the client's confirmed name, its parent domains, its address and the networks that hold it.

    Postfix: check_client_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER. A client without a name is "unknown".
    """
    client = _address(tx)
    if not options.table.has_names:
        return await _asked(options, address_keys(client), ctx, Subject.CLIENT, f"[{client}]")
    name, seen = await _client_name(tx, ctx)
    keys = (*domain_keys(name, dotted=ctx.dotted_parents), *address_keys(client))
    return await _asked(options, keys, ctx, Subject.CLIENT, f"{name}[{client}]", seen)


async def check_reverse_client_hostname_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the name that the client's owner gives it (PTR), confirmed or not, then as check_client_access does.

    Postfix: check_reverse_client_hostname_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER; OK is not allowed.
    """
    client = _address(tx)
    name, seen = await _reverse_name(tx, ctx)
    keys = (*domain_keys(name, dotted=ctx.dotted_parents), *address_keys(client))
    return await _asked(options, keys, ctx, Subject.REVERSE_CLIENT, name, seen)


async def check_helo_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the HELO name and its parent domains.

    Postfix: check_helo_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER.
    """
    return await _asked(options, domain_keys(tx.helo, dotted=ctx.dotted_parents), ctx, Subject.HELO, tx.helo)


async def check_sender_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the sender, its domain, parent domains and user part; the null sender as "<>".

    Postfix: check_sender_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER.
    """
    keys = [NULL_SENDER_KEY] if tx.sender.is_null else _mail_keys(tx.sender, ctx)
    return await _asked(options, keys, ctx, Subject.SENDER, tx.sender.text)


async def check_recipient_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the recipient, its domain, parent domains and user part. Permits none that is routed onwards.

    Postfix: check_recipient_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER.
    """
    recipient = tx.recipient
    if not recipient.domain:  # RFC 5321 §4.5.1: the bare postmaster
        return DUNNO
    verdict = await _asked(options, _mail_keys(recipient, ctx), ctx, Subject.RECIPIENT, recipient.text)
    if verdict.action is Action.PERMIT and ctx.routes_onwards(recipient):
        return verdict._replace(action=Action.DUNNO)
    return verdict


async def check_ccert_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the fingerprint of the client's certificate, then that of its key; whoever signed it.

    Postfix: check_ccert_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER.
    """
    shown = tx.session.tls.client_certificate if tx.session.tls else None
    if shown is None:
        return DUNNO
    keys = [Key(fingerprint) for fingerprint in (shown.fingerprint, shown.key_fingerprint) if fingerprint]
    return await _asked(options, keys, ctx, Subject.CERTIFICATE, shown.subject)


async def check_sasl_access(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
    """Look up the name that the client has logged in with, as a trusted server told it (XCLIENT): there is no AUTH yet.

    Postfix: check_sasl_access, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER.
    """
    login = tx.session.login
    if login is None:
        return DUNNO
    return await _asked(options, [Key(login)], ctx, Subject.LOGIN, login)


def server_access(subject: str) -> dict[str, Check]:
    """check_SUBJECT_a_access, check_SUBJECT_mx_access and check_SUBJECT_ns_access, by what stands in the middle.

    subject: "client", "reverse_client_hostname", "helo", "sender" or "recipient".
    """
    return {kind.lower(): _server_access(subject, kind) for kind in _KINDS}


_KINDS: Sequence[RecordType] = ("A", "MX", "NS")


def _server_access(subject: str, kind: RecordType) -> Check:
    of = _SUBJECTS[subject]

    async def check(tx: Transaction, ctx: Context, options: AccessOptions) -> Verdict:
        domain, name, seen = await of.domain(tx, ctx)
        if not domain:
            return DUNNO
        found = await _servers_of(domain, kind, ctx)
        return await _asked(options, found.keys, ctx, of.subject, name, [*seen, *found.seen])

    check.__name__ = check.__qualname__ = f"check_{subject}_{kind.lower()}_access"
    check.__doc__ = f"""Look up {_SERVERS[kind]} of {of.words}, with parent domains and networks.

    Postfix: {check.__name__}, 554 5.7.1 for REJECT, 450 4.7.1 for DEFER; a failure of the DNS changes nothing; OK is
    not allowed.
    """
    return check


_SERVERS = {"A": "the addresses", "MX": "the mail exchangers", "NS": "the name servers"}


@dataclass(frozen=True, slots=True)
class _Of:
    """Whose servers. words: for people. domain: gives the domain ("" for none), how a reply calls it, and what was
    asked for it.
    """

    subject: Subject
    words: str
    domain: Callable[[Transaction, Context], Awaitable[tuple[str, str, Sequence[str]]]]


async def _of_client(tx: Transaction, ctx: Context) -> tuple[str, str, Sequence[str]]:
    name, seen = await _client_name(tx, ctx)
    return "" if name == UNKNOWN else name, f"{name}[{_address(tx)}]", seen


async def _of_reverse_client(tx: Transaction, ctx: Context) -> tuple[str, str, Sequence[str]]:
    name, seen = await _reverse_name(tx, ctx)
    return "" if name == UNKNOWN else name, name, seen


async def _of_helo(tx: Transaction, ctx: Context) -> tuple[str, str, Sequence[str]]:
    return tx.helo.lower().removesuffix("."), tx.helo, ()


async def _of_sender(tx: Transaction, ctx: Context) -> tuple[str, str, Sequence[str]]:
    return tx.sender.domain, tx.sender.text, ()


async def _of_recipient(tx: Transaction, ctx: Context) -> tuple[str, str, Sequence[str]]:
    return tx.recipient.domain, tx.recipient.text, ()


_SUBJECTS: Mapping[str, _Of] = {
    "client": _Of(Subject.CLIENT, "the client's confirmed name", _of_client),
    "reverse_client_hostname": _Of(Subject.REVERSE_CLIENT, "the client's unconfirmed name", _of_reverse_client),
    "helo": _Of(Subject.HELO, "the HELO name", _of_helo),
    "sender": _Of(Subject.SENDER, "the sender's domain", _of_sender),
    "recipient": _Of(Subject.RECIPIENT, "the recipient's domain", _of_recipient),
}


async def _asked(
    options: AccessOptions,
    keys: Iterable[Key],
    ctx: Context,
    subject: Subject,
    name: str,
    seen: Sequence[str] = (),
) -> Verdict:
    """What the table says of the first key that is in it. seen: the DNS answers that led to the keys."""
    found = await options.table.find(keys, ctx)
    evidence: dict[str, Any] = {"dns": [*seen[:_MOST_EVIDENCE]]} if seen else {}
    if found is None:
        return dunno(evidence) if evidence else DUNNO
    evidence |= {"key": found.key[:_LONGEST_EVIDENCE], "result": found.result.text[:_LONGEST_EVIDENCE]}
    return found.result.verdict(subject, name, evidence, found.rules)


def _mail_keys(address: Address, ctx: Context) -> Iterable[Key]:
    return mail_keys(address.text, address.domain, delimiters=ctx.recipient_delimiter, dotted=ctx.dotted_parents)


def _address(tx: Transaction) -> str:
    return tx.session.client.partition("%")[0]


async def _client_name(tx: Transaction, ctx: Context) -> tuple[str, Sequence[str]]:
    """The client's confirmed name, from whoever speaks for it or from the DNS."""
    if tx.session.client_name:
        return tx.session.client_name.lower(), ()
    found = await confirmed_names(ctx.dns, tx.session.client_address)
    return found.names[0] if found.names else UNKNOWN, found.evidence["dns"]


async def _reverse_name(tx: Transaction, ctx: Context) -> tuple[str, Sequence[str]]:
    """The first name of the client's address, confirmed or not."""
    answer = await reverse_names(ctx.dns, tx.session.client_address)
    names = sorted(name for name in answer.records if is_host_name(name))
    return names[0] if names else UNKNOWN, [answer.evidence]


@dataclass(frozen=True, slots=True)
class _Servers:
    """What is looked up for the servers of a domain, and the answers that named them."""

    keys: Sequence[Key] = ()
    seen: Sequence[str] = ()


async def _servers_of(domain: str, kind: RecordType, ctx: Context) -> _Servers:
    """The servers of a domain and their addresses (Postfix: check_server_access)."""
    if domain.startswith("[") or is_address(domain):
        address = _literal(domain)
        # An address is its own server, but there is nothing like a name server of it.
        return _Servers(tuple(address_keys(address))) if address and kind != "NS" else _Servers()
    if kind == "A":
        hosts, asked = [domain], list[Answer]()
    else:
        hosts, asked = await (_mail_exchangers if kind == "MX" else _name_servers)(domain, ctx)
    hosts = hosts[:_MOST_SERVERS]
    answers = await asyncio.gather(*(ctx.dns.query(host, of) for host in hosts for of in ("A", "AAAA")))
    keys: list[Key] = []
    left = _MOST_ADDRESSES
    for number, host in enumerate(hosts):
        if kind != "A":
            keys += domain_keys(host, dotted=ctx.dotted_parents)
        addresses = [address for answer in answers[2 * number : 2 * number + 2] for address in answer.records][:left]
        left -= len(addresses)
        for address in addresses:
            keys += address_keys(str(address))
    return _Servers(keys, [answer.evidence for answer in (*asked, *answers)])


async def _mail_exchangers(domain: str, ctx: Context) -> tuple[list[str], list[Answer]]:
    answer = await ctx.dns.query(domain, "MX")
    if answer.status in (Status.NO_NAME, Status.NO_DATA):
        # As in Postfix: some name servers say that there is no such name where there is only no MX.
        return [domain], [answer]
    return [record.host for record in sorted(answer.records) if record.host], [answer]  # RFC 7505 §3: "" is the null MX


async def _name_servers(domain: str, ctx: Context) -> tuple[list[str], list[Answer]]:
    """The name servers of a domain, or else of the nearest domain above that has some."""
    asked: list[Answer] = []
    labels = domain.split(".")
    above = (".".join(labels[-count:]) for count in range(min(len(labels) - 1, _MOST_LABELS), 0, -1))
    for name in (domain, *above):
        asked.append(await ctx.dns.query(name, "NS"))
        if asked[-1].status not in (Status.NO_NAME, Status.NO_DATA):
            return list(asked[-1].records), asked
    return [], asked


def _literal(text: str) -> str | None:
    """The address in a literal, or one without brackets (RFC 5321 §4.1.3)."""
    inside = text.removeprefix("[").removesuffix("]")
    if inside[:5].lower() == "ipv6:":
        inside = inside[5:]
    try:
        return str(ipaddress.ip_address(inside))
    except ValueError:
        return None
