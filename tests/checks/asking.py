"""Asks one check, by the name that a configuration gives it, and says shortly what it answered."""

import dataclasses
import ipaddress
from typing import Any

from smtpgate.checks.registry import REGISTRY
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.mailauth.message import Message
from smtpgate.phases.context import Context
from smtpgate.phases.facts import NULL_SENDER, Address, Session, Transaction
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import CheckSpec
from smtpgate.phases.subject import OF_LIST
from smtpgate.phases.verdict import Verdict
from smtpgate.phases.verification import AddressVerifier, NoVerifier
from tests.fake_store import FakeGreylist
from tests.fakes import Clock, FakeDns, FakePolicy

CLIENT = "203.0.113.7"


def mailbox(text: str) -> Address:
    """An address as the dialog's parser would give it: the null sender, the bare postmaster, or local@domain."""
    if not text:
        return NULL_SENDER
    local, _, domain = text.rpartition("@")
    return Address(text, local or text, domain.lower() if local else "")


def context(
    *,
    dns: FakeDns | None = None,
    greylist: FakeGreylist | None = None,
    clock: Clock | None = None,
    mynetworks: tuple[str, ...] = (),
    relay_domains: tuple[str, ...] = ("example.org",),
    own_addresses: tuple[str, ...] = (),
    recipients: tuple[str, ...] = (),
    policy: FakePolicy | None = None,
    verifier: AddressVerifier | None = None,
    **more: Any,
) -> Context:
    dns = dns or FakeDns()
    return Context(
        dns,
        DnsLists(dns),
        greylist or FakeGreylist(),
        clock or Clock(),
        "mx.example.org",
        tuple(ipaddress.ip_network(network) for network in mynetworks),
        frozenset(relay_domains),
        own_addresses=frozenset(map(ipaddress.ip_address, own_addresses)),
        recipients=frozenset(recipients),
        policy=policy or FakePolicy(),  # type: ignore[arg-type]
        verify_sender=verifier or NoVerifier(),
        verify_recipient=verifier or NoVerifier(),
        **more,
    )


def facts(
    *,
    client: str = CLIENT,
    helo: str = "client.example.net",
    sender: str = "a@example.net",
    recipient: str = "b@example.org",
    message: bytes = b"Subject: x\r\n\r\nbody\r\n",
    **session: Any,
) -> Transaction:
    """Everything that a check can ask for."""
    opened = Session(ipaddress.ip_address(client), 4711, "test", helo=helo, **session)
    tx = Transaction(opened, mailbox(sender))
    tx.recipients.append(mailbox(recipient))
    return tx.with_message(Message(message))


async def ask(rule: str, tx: Transaction, ctx: Context, **options: Any) -> Verdict:
    """Ask a rule as a configuration writes it: "name", "name argument", and options."""
    name, *arguments = rule.split()
    return await call(REGISTRY[name], tx, ctx, *arguments, **options)


async def call(spec: CheckSpec, tx: Transaction, ctx: Context, *arguments: str, **options: Any) -> Verdict:
    """Ask a check of a registry row, its options parsed as the configuration would."""
    about = {"subject": options.pop("subject", OF_LIST[_list(tx)])} if spec.subject == "list" else {}
    if spec.options is None:
        return await spec.check(tx, ctx, **about)
    fields = dataclasses.fields(spec.options)
    by_position = [field.name for field in fields if field.metadata["argument"]]
    given = {**dict(zip(by_position, arguments, strict=False)), **options}
    parsers = {field.name: field.metadata["parse"] for field in fields}
    parsed = {name: parsers[name](value) for name, value in given.items()}
    return await spec.check(tx, ctx, spec.options(**parsed), **about)


def _list(tx: Transaction) -> Phase:
    """The list that a check stands in, unless its test says so."""
    if tx.phase is not None:
        return tx.phase
    return Phase.RCPT if tx.has_recipient else Phase.DATA


def short(verdict: Verdict) -> str:
    """A verdict in a word and two codes: "dunno", "reject 554 5.7.1"."""
    word = verdict.action.value
    return f"{word} {verdict.reply.code} {verdict.reply.enhanced}" if verdict.reply else word
