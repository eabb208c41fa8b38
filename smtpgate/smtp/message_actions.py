"""What rules want done with a message, beside passing it on: PREPEND, DISCARD, HOLD, REDIRECT, BCC (access(5)).

Rules it keeps:
- The client hears 250 only when the downstream has the message, or it is safe in the quarantine, or is to be discarded.
- An address of ours that does not take the mail is our own trouble: the client tries again.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from smtpgate.content import Content
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.record import Record, RelayEntry
from smtpgate.relay.downstream import Envelope, RcptParameters, RelayReply
from smtpgate.smtp.redelivery import Redelivery
from smtpgate.smtp.services import Services

log = logging.getLogger(__name__)

OK = RelayReply(250, "2.0.0", "Ok")
NO_ROOM = RelayReply(452, "4.3.1", "Insufficient system storage")
NOT_NOW = RelayReply(451, "4.3.0", "Temporary internal error, please try again later")

# Outcomes of a record, beside those of every transaction.
DISCARDED, HELD = "discarded", "held"

Recipients = Sequence[tuple[str, RcptParameters]]


def prepended(deeds: Iterable[MessageAction]) -> bytes:
    """The header fields that rules put before the message, in their order."""
    return b"".join(deed.text.encode() + b"\r\n" for deed in deeds if deed.deed is Deed.PREPEND)


async def carry_out(
    deeds: Sequence[MessageAction],
    delivery: Redelivery,
    outgoing: Content,
    received: Content,
    services: Services,
    record: Record,
) -> list[RelayReply]:
    """Do with a message what rules want, instead of Redelivery.deliver(), which see. Sets the record's outcome."""
    by_deed = {deed.deed: deed for deed in deeds}  # the last of each kind
    if Deed.DISCARD in by_deed:
        await delivery.abandon()
        record.outcome = DISCARDED
        return [OK]
    redirect = by_deed.get(Deed.REDIRECT)
    copies = [deed.text for deed in deeds if deed.deed is Deed.BCC]
    if Deed.HOLD in by_deed:
        return [await _hold(by_deed[Deed.HOLD].text, redirect, copies, delivery, outgoing, services, record)]
    try:
        all_take_it = await _address(redirect, copies, delivery, outgoing, services, record)
    except BaseException:
        await delivery.abandon()  # or its connection would stay busy for ever
        raise
    if not all_take_it:
        await delivery.abandon()
        return [NOT_NOW]
    return await delivery.deliver(outgoing, received)


async def _address(
    redirect: MessageAction | None,
    copies: Sequence[str],
    delivery: Redelivery,
    outgoing: Content,
    services: Services,
    record: Record,
) -> bool:
    """Put all whom rules have named to the downstream; whether it takes them. Raises DownstreamUnavailable."""
    if redirect and not await _put(delivery.redirect(redirect.text), redirect.text, record):
        return False
    for address in copies:
        put = delivery.recipient(address, _silent(services))
        if not await _put(put, address, record) and not await _copy(address, delivery, outgoing, services, record):
            return False
    return True


async def _put(put: Awaitable[RelayReply], address: str, record: Record) -> bool:
    """Whether the downstream takes a recipient that a rule has named. Raises DownstreamUnavailable."""
    answer = await put
    record.add(record.relay, RelayEntry(f"RCPT {address}", str(answer), 0.0))
    return answer.is_positive


async def _copy(address: str, delivery: Redelivery, outgoing: Content, services: Services, record: Record) -> bool:
    """Send a copy by itself: the address may have another route. Raises DownstreamUnavailable."""
    copy = services.downstream.begin(delivery.envelope)
    if not await _put(copy.recipient(address, _silent(services)), address, record):
        await copy.abandon()
        return False
    answers = await copy.deliver(outgoing)
    return all(answer.is_positive for answer in answers)


def _silent(services: Services) -> RcptParameters:
    """As Postfix does, the sender hears nothing of a copy (RFC 3461 §4.1)."""
    return RcptParameters("NEVER" if "DSN" in (services.downstream.extensions or ()) else None)


async def _hold(
    reason: str,
    redirect: MessageAction | None,
    copies: Sequence[str],
    delivery: Redelivery,
    outgoing: Content,
    services: Services,
    record: Record,
) -> RelayReply:
    """Put a message into the quarantine, with those who are to get it."""
    await delivery.abandon()
    recipients = [(redirect.text, RcptParameters())] if redirect else list(delivery.accepted)
    recipients += [(address, _silent(services)) for address in copies]
    envelope = held_envelope(delivery.envelope, recipients) | {"ref": record.ref, "at": record.at, "reason": reason}
    name = f"{int(record.at)}-{record.ref}"
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(services.spool.threads, services.quarantine.keep, name, envelope, outgoing)
    except OSError as trouble:
        log.warning("the message %s cannot be held: %s", record.ref, trouble)
        record.add(record.relay, RelayEntry("HOLD", str(trouble), 0.0))
        return NO_ROOM
    record.add(record.relay, RelayEntry("HOLD", f"quarantine: {name}", 0.0))
    record.outcome = HELD
    return OK


def held_envelope(envelope: Envelope, recipients: Recipients) -> dict[str, Any]:
    """An envelope as plain data (JSON types)."""
    return dataclasses.asdict(envelope) | {"recipients": [[address, *parameters] for address, parameters in recipients]}


def released_envelope(held: dict[str, Any]) -> tuple[Envelope, list[tuple[str, RcptParameters]]]:
    """What held_envelope() was made of."""
    names = [field.name for field in dataclasses.fields(Envelope)]
    recipients = [(address, RcptParameters(*parameters)) for address, *parameters in held["recipients"]]
    return Envelope(**{name: held[name] for name in names}), recipients
