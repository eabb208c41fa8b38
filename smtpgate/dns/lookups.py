"""Questions that several checks ask and that take more than one look-up."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from smtpgate.dns.resolver import Answer, RecordType, Resolver, Status, reverse_name
from smtpgate.values import IPAddress, is_host_name

# Whoever runs the reverse zone chooses how many names it gives; RFC 7208 §4.6.4 looks at ten as well.
MAX_REVERSE_NAMES = 10


class MailHosts(NamedTuple):
    """Whether a domain can receive mail.

    null_mx: it says that it never does (RFC 7505). temporary_failure: nothing is known. At most one of the three is
    true; none of them: no such domain, or no host for it. evidence: the answers as plain data.
    """

    evidence: Mapping[str, Any]
    exists: bool = False
    null_mx: bool = False
    temporary_failure: bool = False


class HostExists(NamedTuple):
    """Whether a name has an address or a mail exchanger. temporary_failure: nobody knows. evidence: the answers."""

    evidence: Mapping[str, Any]
    exists: bool = False
    temporary_failure: bool = False


class Confirmation(Enum):
    """How forward-confirmed reverse DNS ended."""

    CONFIRMED = "confirmed"
    NO_PTR = "the address has no name"
    NO_FORWARD = "no name of the address has an address"
    MISMATCH = "no name of the address leads back to it"
    FAILURE = "temporary failure"


class ConfirmedNames(NamedTuple):
    """The names of an address that lead back to it, in alphabetical order; empty unless outcome is CONFIRMED."""

    outcome: Confirmation
    names: tuple[str, ...]
    evidence: Mapping[str, Any]


async def mail_hosts(resolver: Resolver, domain: str) -> MailHosts:
    """Ask where a domain's mail goes: MX, and if there is none its addresses (RFC 5321 §5.1).

    As with Postfix, addresses prove that a domain exists even where its MX records cannot be looked up.
    """
    mx = await resolver.query(domain, "MX")
    seen = [mx]
    if mx.status is Status.ANSWER:
        # RFC 7505 §3: the one record "0 ." says that the domain accepts no mail.
        null = all(not record.host for record in mx.records)
        return MailHosts(_evidence(seen), exists=not null, null_mx=null)
    if mx.status is not Status.NO_NAME:
        seen += await _until_answered(resolver, domain, ("A", "AAAA"))
    exists = any(answer.status is Status.ANSWER for answer in seen)
    failed = any(answer.failed for answer in seen)
    return MailHosts(_evidence(seen), exists=exists, temporary_failure=failed and not exists)


async def host_exists(resolver: Resolver, name: str) -> HostExists:
    """Ask whether a name is one of a host or of a mail domain: it has an address, or else MX records."""
    seen = await _until_answered(resolver, name, ("A", "AAAA"))
    if all(answer.status in (Status.NO_DATA, Status.FAILURE) for answer in seen):
        seen.append(await resolver.query(name, "MX"))
    exists = any(answer.status is Status.ANSWER for answer in seen)
    failed = any(answer.failed for answer in seen)
    return HostExists(_evidence(seen), exists=exists, temporary_failure=failed and not exists)


async def reverse_names(resolver: Resolver, address: IPAddress) -> Answer:
    """Ask for the names that the owner of an address gives it: PTR, which proves nothing."""
    return await resolver.query(reverse_name(address), "PTR")


async def confirmed_names(resolver: Resolver, address: IPAddress) -> ConfirmedNames:
    """Ask for the names of an address, and which of them lead back to it (RFC 8601 §2.7.3, "iprev")."""
    reverse = await reverse_names(resolver, address)
    if reverse.status is not Status.ANSWER:
        outcome = Confirmation.FAILURE if reverse.failed else Confirmation.NO_PTR
        return ConfirmedNames(outcome, (), _evidence([reverse]))
    # Sorted first, so that a long list's order, which changes with every answer, does not change the outcome.
    names = sorted({name for name in reverse.records if is_host_name(name)})[:MAX_REVERSE_NAMES]
    kind: RecordType = "A" if address.version == 4 else "AAAA"
    if len(names) == 1:  # as nearly always: it needs no task
        forward = [await resolver.query(names[0], kind)]
    else:
        forward = await asyncio.gather(*(resolver.query(name, kind) for name in names))
    confirmed = tuple(name for name, answer in zip(names, forward, strict=True) if address in answer.records)
    return ConfirmedNames(_outcome(confirmed, forward), confirmed, _evidence([reverse, *forward]))


def _outcome(confirmed: Sequence[str], forward: Sequence[Answer]) -> Confirmation:
    if confirmed:
        return Confirmation.CONFIRMED
    if any(answer.failed for answer in forward):
        return Confirmation.FAILURE
    if any(answer.status is Status.ANSWER for answer in forward):
        return Confirmation.MISMATCH
    return Confirmation.NO_FORWARD


async def _until_answered(resolver: Resolver, name: str, kinds: Sequence[RecordType]) -> list[Answer]:
    """Ask for several types at once; the answers up to the first that has records, for the others would add nothing."""
    tasks = [asyncio.create_task(resolver.query(name, kind)) for kind in kinds]
    seen: list[Answer] = []
    try:
        for task in asyncio.as_completed(tasks):
            seen.append(await task)
            if seen[-1].status is Status.ANSWER:
                break
    finally:
        for unneeded in tasks:
            unneeded.cancel()
    return seen


def _evidence(answers: Sequence[Answer]) -> Mapping[str, Any]:
    return {"dns": [answer.evidence for answer in answers]}
