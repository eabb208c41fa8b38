"""One transaction with the downstream, and what is remembered of earlier attempts to send the same message.

An LMTP server answers for each recipient, and the client can be told one thing only: if some took the message and
others did not, it is told to try again, and sends it to all of them. Then only the rest must get it.

Rules it keeps:
- The client's reply speaks for those whom the client has named. A copy that rules want (BCC) goes out before, unless
  one answer speaks for all; one that is not taken puts the message off, and one that was taken is remembered.
- No loss: only who is known to have the message is left out. A store that is away costs a duplicate, never a message.
  It is forgotten just before the client is told 250: the same octets, which a device may send each day, are news then.
- A copy belongs to its transaction: whom the client names in another one, that has one answer for all, gets it there.
- No queue, no bounce: the client goes on until all have it, the rest is refused for good at a retry, too, or it gives
  up; then it tells its user.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Sequence

from smtpgate.content import Content
from smtpgate.relay.downstream import NO_PARAMETERS, Downstream, Envelope, RcptParameters, RelayReply
from smtpgate.store.delivered import DeliveredRecipients
from smtpgate.store.greylist import StoreError

log = logging.getLogger(__name__)

ALREADY = RelayReply(250, "2.0.0", "Ok: delivered at an earlier attempt")
NOT_NOW = RelayReply(451, "4.3.0", "Temporary internal error, please try again later")

# A recipient, as it is put to the downstream.
Put = tuple[str, RcptParameters]
Note = Callable[[str, RelayReply], None]
# How long the store may take: longer than it waits for another process.
_STORE_TIMEOUT = 10.0


class Redelivery:
    """A transaction. memory: who has which message. clock: seconds since 1970."""

    def __init__(
        self, envelope: Envelope, downstream: Downstream, memory: DeliveredRecipients, clock: Callable[[], float]
    ) -> None:
        self._envelope = envelope
        self._downstream = downstream
        self._memory = memory
        self._clock = clock
        self._delivery = downstream.begin(envelope)
        self._accepted: dict[Put, RelayReply] = {}

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to the downstream, once. Raises what Delivery.recipient raises."""
        put = address, parameters
        # Not every LMTP server answers twice for whom it was told of twice: behind Postfix it never is.
        reply = self._accepted.get(put) or await self._delivery.recipient(address, parameters)
        if reply.is_positive:
            self._accepted[put] = reply
        return reply

    @property
    def envelope(self) -> Envelope:
        """What MAIL said."""
        return self._envelope

    @property
    def accepted(self) -> Sequence[Put]:
        """The recipients that the downstream takes."""
        return list(self._accepted)

    async def redirect(self, address: str) -> RelayReply:
        """Begin again, with this address in place of all recipients. Raises what Delivery.recipient raises."""
        await self._begin_again()
        return await self.recipient(address)

    async def deliver(
        self, outgoing: Content, received: Content, copies: Sequence[Put] = (), note: Note = lambda *_: None
    ) -> list[RelayReply]:
        """Hand over the message to all who do not have it yet. Raises what Delivery.deliver raises.

        received: as the client sent it, and will send it again. copies: who gets it, too, though the client has not
        named them; note is told what they were answered. Returns the downstream's answers, for those who have it
        ALREADY; NOT_NOW alone, if a copy was not taken: then nobody else got it either.
        """
        if not copies and not self._delivery.per_recipient:
            return await self._delivery.deliver(outgoing)
        digest = await _digest(self._envelope.sender, received)
        known = await self._having(digest)
        settled = known.intersection(address for address, _ in (*self._accepted, *copies))
        have, answers = set(known), [NOT_NOW]
        try:
            for copy in copies:
                reply = await self._copy(copy, outgoing, have)
                note(copy[0], reply)
                if not reply.is_positive:
                    await self.abandon()
                    return answers
            answers = await self._deliver_to_rest(outgoing, have)
            return answers
        finally:
            if all(answer.is_positive for answer in answers):
                await self._forget(digest, settled)
            else:
                await self._remember(digest, have)

    async def abandon(self) -> None:
        """Give the transaction up. Never raises."""
        await self._delivery.abandon()

    async def _begin_again(self) -> None:
        await self._delivery.abandon()
        self._delivery, self._accepted = self._downstream.begin(self._envelope), {}

    async def _copy(self, copy: Put, outgoing: Content, have: set[str]) -> RelayReply:
        """Send a copy, or let it go with the others, if the one answer for all is then its answer, too."""
        if copy[0] in have:
            return ALREADY
        if not self._delivery.per_recipient:
            reply = await self._delivery.recipient(*copy)
            if reply.is_positive:
                return reply
        # It may have another route; or each is answered for, and the client's answer must not depend on the copy's.
        delivery = self._downstream.begin(self._envelope)
        reply = await delivery.recipient(*copy)
        if not reply.is_positive:
            await delivery.abandon()
            return reply
        [reply] = await delivery.deliver(outgoing)
        if reply.is_positive:
            have.add(copy[0])
        return reply

    async def _deliver_to_rest(self, outgoing: Content, have: set[str]) -> list[RelayReply]:
        """Hand over to all but those who have it, and note who has it then."""
        if not self._delivery.per_recipient:
            return await self._delivery.deliver(outgoing)
        rest = [put for put in self._accepted if put[0] not in have]
        answers = [ALREADY] * (len(self._accepted) - len(rest))
        if answers:
            await self._begin_again()
            replies = [await self.recipient(*put) for put in rest]
            answers = [reply for reply in replies if not reply.is_positive] + answers
        if not self._accepted:
            await self.abandon()
            return answers
        replies = await self._delivery.deliver(outgoing)
        have.update(put[0] for put, reply in zip(self._accepted, replies, strict=True) if reply.is_positive)
        return replies + answers

    async def _having(self, digest: str) -> frozenset[str]:
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                return await self._memory.delivered(digest)
        except (StoreError, TimeoutError) as trouble:
            log.warning("who has a message already cannot be found out, so all get it: %s", trouble or "no answer")
            return frozenset()

    async def _remember(self, digest: str, recipients: Collection[str]) -> None:
        if not recipients:
            return
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                await self._memory.remember(digest, recipients, self._clock())
        except (StoreError, TimeoutError) as trouble:
            log.warning("%d recipients will get a message twice: %s", len(recipients), trouble or "no answer")

    async def _forget(self, digest: str, recipients: Collection[str]) -> None:
        if not recipients:
            return
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                await self._memory.forget(digest, recipients)
        except (StoreError, TimeoutError) as trouble:
            log.warning("a message that was sent on is taken for a retry if it comes again: %s", trouble or "no answer")


async def _digest(sender: str, received: Content) -> str:
    digest = hashlib.sha256(sender.encode("utf-8", "backslashreplace") + b"\0")
    async for piece in received:
        digest.update(piece)
        await asyncio.sleep(0)  # others have their turn
    return digest.hexdigest()
