"""What rules want done with a message, beside passing it on: PREPEND, DISCARD, HOLD, REDIRECT, BCC (access(5)).

Rules it keeps:
- The client hears 250 only when the downstream has the message, or it is safe in the quarantine, or is to be discarded.
- An address of ours that does not take the mail is our own trouble: the client tries again.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
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
    """Do with a message what rules want, instead of Redelivery.deliver(), which see.

    Sets the record's outcome, and who decided it, if that is no answer of the downstream.
    """
    by_deed = {deed.deed: deed for deed in deeds}  # the last of each kind
    if Deed.DISCARD in by_deed:
        await delivery.abandon()
        record.outcome, record.decided_by = DISCARDED, by_deed[Deed.DISCARD].by
        return [OK]
    redirect = by_deed.get(Deed.REDIRECT)
    copies = [deed.text for deed in deeds if deed.deed is Deed.BCC]
    hand_over = _HandOver(delivery, outgoing, services, record, redirect.text if redirect else None, copies)
    if Deed.HOLD in by_deed:
        return [await hand_over.hold(by_deed[Deed.HOLD])]
    try:
        all_take_it = await hand_over.address()
    except BaseException:
        await delivery.abandon()  # or its connection would stay busy for ever
        raise
    if not all_take_it:
        await delivery.abandon()
        return [NOT_NOW]
    return await delivery.deliver(outgoing, received)


@dataclass(frozen=True, slots=True)
class _HandOver:
    """A message on its way to others than the client named. redirect: who gets it alone. copies: who gets it, too."""

    delivery: Redelivery
    outgoing: Content
    services: Services
    record: Record
    redirect: str | None
    copies: Sequence[str]

    async def address(self) -> bool:
        """Put all whom rules have named to the downstream; whether it takes them. Raises DownstreamUnavailable."""
        if self.redirect is not None and not await self._put(self.delivery.redirect(self.redirect), self.redirect):
            return False
        for address in self.copies:
            put = self.delivery.recipient(address, self._silent())
            if not await self._put(put, address) and not await self._copy(address):
                return False
        return True

    async def hold(self, wanted: MessageAction) -> RelayReply:
        """Put it into the quarantine, with those who are to get it."""
        await self.delivery.abandon()
        record, services = self.record, self.services
        redirect = self.redirect
        recipients = list(self.delivery.accepted) if redirect is None else [(redirect, RcptParameters())]
        recipients += [(address, self._silent()) for address in self.copies]
        envelope = held_envelope(self.delivery.envelope, recipients)
        envelope |= {"ref": record.ref, "at": record.at, "reason": wanted.text}
        name = f"{int(record.at)}-{record.ref}"
        loop, keep = asyncio.get_running_loop(), services.quarantine.keep
        try:
            await loop.run_in_executor(services.spool.threads, keep, name, envelope, self.outgoing)
        except OSError as trouble:
            log.warning("the message %s cannot be held: %s", record.ref, trouble)
            record.add(record.relay, RelayEntry("HOLD", str(trouble), 0.0))
            return NO_ROOM
        record.add(record.relay, RelayEntry("HOLD", f"quarantine: {name}", 0.0))
        record.outcome, record.decided_by = HELD, wanted.by
        return OK

    async def _put(self, put: Awaitable[RelayReply], address: str) -> bool:
        """Whether the downstream takes a recipient that a rule has named. Raises DownstreamUnavailable."""
        answer = await put
        self.record.add(self.record.relay, RelayEntry(f"RCPT {address}", str(answer), 0.0))
        return answer.is_positive

    async def _copy(self, address: str) -> bool:
        """Send a copy by itself: the address may have another route. Raises DownstreamUnavailable."""
        copy = self.services.downstream.begin(self.delivery.envelope)
        if not await self._put(copy.recipient(address, self._silent()), address):
            await copy.abandon()
            return False
        answers = await copy.deliver(self.outgoing)
        return all(answer.is_positive for answer in answers)

    def _silent(self) -> RcptParameters:
        """As Postfix does, the sender hears nothing of a copy (RFC 3461 §4.1)."""
        return RcptParameters("NEVER" if "DSN" in (self.services.downstream.extensions or ()) else None)


def held_envelope(envelope: Envelope, recipients: Recipients) -> dict[str, Any]:
    """An envelope as plain data (JSON types)."""
    return dataclasses.asdict(envelope) | {"recipients": [[address, *parameters] for address, parameters in recipients]}


def released_envelope(held: dict[str, Any]) -> tuple[Envelope, list[tuple[str, RcptParameters]]]:
    """What held_envelope() was made of."""
    names = [field.name for field in dataclasses.fields(Envelope)]
    recipients = [(address, RcptParameters(*parameters)) for address, *parameters in held["recipients"]]
    return Envelope(**{name: held[name] for name in names}), recipients
