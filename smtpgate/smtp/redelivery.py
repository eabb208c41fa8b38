"""One transaction with the downstream, and what is remembered of earlier attempts to send the same message.

An LMTP server answers for each recipient, and the client can be told one thing only: if some took the message and
others did not, it is told to try again, and sends it to all of them. Then only the rest must get it.

Rules it keeps:
- No loss: only who is known to have the message is left out. A store that is away costs a duplicate, never a message.
- No queue, no bounce: the client goes on until all have it, the rest is refused for good at a retry, too, or it gives
  up; then it tells its user.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Sequence

from smtpgate.content import Content
from smtpgate.relay.downstream import NO_PARAMETERS, Delivery, Downstream, Envelope, RcptParameters, RelayReply
from smtpgate.store.delivered import DeliveredRecipients
from smtpgate.store.greylist import StoreError

log = logging.getLogger(__name__)

ALREADY = RelayReply(250, "2.0.0", "Ok: delivered at an earlier attempt")
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
        self._accepted: list[tuple[str, RcptParameters]] = []

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to the downstream. Raises what Delivery.recipient raises."""
        reply = await self._delivery.recipient(address, parameters)
        if reply.is_positive:
            self._accepted.append((address, parameters))
        return reply

    @property
    def envelope(self) -> Envelope:
        """What MAIL said."""
        return self._envelope

    @property
    def accepted(self) -> Sequence[tuple[str, RcptParameters]]:
        """The recipients that the downstream takes."""
        return self._accepted

    async def redirect(self, address: str) -> RelayReply:
        """Begin again, with this address in place of all recipients. Raises what Delivery.recipient raises."""
        await self._delivery.abandon()
        self._delivery, self._accepted = self._downstream.begin(self._envelope), []
        return await self.recipient(address)

    async def deliver(self, outgoing: Content, received: Content) -> list[RelayReply]:
        """Hand over the message to all who do not have it yet. Raises what Delivery.deliver raises.

        received: as the client sent it, and will send it again. Returns the downstream's answers, for those who have it
        ALREADY.
        """
        if not self._delivery.per_recipient:
            return await self._delivery.deliver(outgoing)
        digest = await _digest(self._envelope.sender, received)
        have = await self._having(digest)
        rest = [put for put in self._accepted if put[0] not in have]
        if len(rest) == len(self._accepted):
            answers = await self._delivery.deliver(outgoing)
        else:
            answers = await self._deliver_to(rest, outgoing)
        taken = [address for (address, _), answer in zip(rest, answers, strict=True) if answer.is_positive]
        if len(taken) < len(rest):
            await self._remember(digest, [*taken, *have.intersection(address for address, _ in self._accepted)])
        return answers + [ALREADY] * (len(self._accepted) - len(rest))

    async def abandon(self) -> None:
        """Give the transaction up. Never raises."""
        await self._delivery.abandon()

    async def _deliver_to(self, rest: Sequence[tuple[str, RcptParameters]], outgoing: Content) -> list[RelayReply]:
        """A transaction in place of this one, for some of its recipients."""
        await self._delivery.abandon()
        if not rest:
            return []
        delivery = self._delivery = self._downstream.begin(self._envelope)
        answers = [await delivery.recipient(*put) for put in rest]
        accepted = [index for index, answer in enumerate(answers) if answer.is_positive]
        if not accepted:
            await delivery.abandon()
            return answers
        for index, answer in zip(accepted, await _answers(delivery, outgoing, len(accepted)), strict=True):
            answers[index] = answer
        return answers

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


async def _answers(delivery: Delivery, outgoing: Content, count: int) -> list[RelayReply]:
    """An answer for each recipient, even from a server that gives one for all."""
    answers = await delivery.deliver(outgoing)
    return answers if delivery.per_recipient else answers * count


async def _digest(sender: str, received: Content) -> str:
    digest = hashlib.sha256(sender.encode("utf-8", "backslashreplace") + b"\0")
    async for piece in received:
        digest.update(piece)
        await asyncio.sleep(0)  # others have their turn
    return digest.hexdigest()
