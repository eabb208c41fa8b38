"""What rules want done with a message, beside passing it on: PREPEND, DISCARD, HOLD, REDIRECT, BCC (access(5)).

Rules it keeps:
- The client hears 250 only when the downstream has the message, or it is safe in the quarantine, or is to be discarded.
- An address of ours that does not take the mail is our own trouble: the client tries again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from smtpgate.content import Content
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.record import Record, RelayEntry
from smtpgate.relay.downstream import NO_PARAMETERS, Envelope, RcptParameters, RelayReply
from smtpgate.smtp.redelivery import NOT_NOW, Note, Put, Redelivery
from smtpgate.smtp.services import Services
from smtpgate.system_error import in_words

OK = RelayReply(250, "2.0.0", "Ok")
NO_ROOM = RelayReply(452, "4.3.1", "Insufficient system storage")

# Outcomes of a record, beside those of every transaction.
DISCARDED, HELD = "discarded", "held"


def prepended(deeds: Iterable[MessageAction]) -> bytes:
    """The header fields that rules put before the message, in their order."""
    return b"".join([deed.text.encode() + b"\r\n" for deed in deeds if deed.deed is Deed.PREPEND])


async def carry_out(
    deeds: Sequence[MessageAction],
    delivery: Redelivery,
    outgoing: Content,
    received: Content,
    services: Services,
    record: Record,
) -> list[RelayReply]:
    """Do with a message what rules want, instead of Redelivery.deliver(), which see.

    Sets the record's outcome, and who decided it, if that is no answer of the downstream.
    """
    by_deed = {deed.deed: deed for deed in deeds}  # the last of each kind
    if Deed.DISCARD in by_deed:
        await delivery.abandon()
        record.outcome, record.decided_by = DISCARDED, by_deed[Deed.DISCARD].by
        return [OK]
    recipients = delivery.accepted
    redirect = by_deed.get(Deed.REDIRECT)
    if redirect is not None:
        recipients = [(redirect.text, NO_PARAMETERS)]
    named = {address for address, _ in recipients}
    # As Postfix does, the sender hears nothing of a copy (RFC 3461 §4.1).
    silent = RcptParameters("NEVER" if "DSN" in (services.downstream.extensions or ()) else None)
    copies = [(deed.text, silent) for deed in deeds if deed.deed is Deed.BCC and deed.text not in named]
    if Deed.HOLD in by_deed:
        await delivery.abandon()
        envelope = held_envelope(delivery.envelope, [*recipients, *copies])
        return [await _hold(by_deed[Deed.HOLD], envelope, outgoing, services, record)]

    def note(address: str, reply: RelayReply) -> None:
        record.add(record.relay, RelayEntry(f"RCPT {address}", str(reply)))

    try:
        if redirect is None:
            return await delivery.deliver(outgoing, received, copies, note)
        return await _redirect(redirect.text, delivery, outgoing, received, copies, note)
    except BaseException:
        await delivery.abandon()  # or its connection would stay busy for ever
        raise


async def _redirect(
    address: str, delivery: Redelivery, outgoing: Content, received: Content, copies: Sequence[Put], note: Note
) -> list[RelayReply]:
    """Deliver to one in place of all. What he is refused with is nothing that the client has to do with."""
    reply = await delivery.redirect(address)
    note(address, reply)
    if not reply.is_positive:
        await delivery.abandon()
        return [NOT_NOW]
    [reply] = await delivery.deliver(outgoing, received, copies, note)
    if reply.is_positive or reply is NOT_NOW:
        return [reply]
    note(address, reply)
    return [NOT_NOW]


async def _hold(
    wanted: MessageAction, envelope: dict[str, Any], outgoing: Content, services: Services, record: Record
) -> RelayReply:
    """Put it into the quarantine."""
    envelope |= {"ref": record.ref, "at": record.at, "reason": wanted.text}
    name = f"{int(record.at)}-{record.ref}"
    loop, keep = asyncio.get_running_loop(), services.quarantine.keep
    try:
        await loop.run_in_executor(services.spool.threads, keep, name, envelope, outgoing)
    except OSError as trouble:
        services.quarantine.trouble.happened(trouble)
        record.add(record.relay, RelayEntry("HOLD", in_words(trouble)))
        return NO_ROOM
    services.quarantine.trouble.passed()
    record.add(record.relay, RelayEntry("HOLD", f"quarantine: {name}"))
    record.outcome, record.decided_by = HELD, wanted.by
    return OK


def held_envelope(envelope: Envelope, recipients: Sequence[Put]) -> dict[str, Any]:
    """An envelope as plain data (JSON types)."""
    return envelope._asdict() | {"recipients": [[address, *parameters] for address, parameters in recipients]}


def released_envelope(held: dict[str, Any]) -> tuple[Envelope, list[Put]]:
    """What held_envelope() was made of."""
    recipients = [(address, RcptParameters(*parameters)) for address, *parameters in held["recipients"]]
    return Envelope(**{name: held[name] for name in Envelope._fields}), recipients
