"""Several servers for the same mail, tried in order; one that failed is put aside for a while.

Rules it keeps:
- A transaction changes to another server only before one has accepted a recipient of it, so that nothing is sent twice.
- Who was put aside is skipped as long as another one is there: with a single server, or with all of them down, every
  transaction tries, so that no mail is put off for longer than the trouble lasts.
- When its pause is over, one transaction tries it, and the others do not wait for what comes of that.
- While a few attempts to reach who is down are under way, there is but one more a second, and a transaction makes one
  only: a server that is silent must not have all sessions wait for it.
- If one of them answers for each recipient (LMTP), all do: who has a message is not to depend on which was up.
"""

import asyncio
import logging
import random as system_random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from smtpgate.content import Content
from smtpgate.relay.downstream import (
    NO_PARAMETERS,
    Delivery,
    DownstreamUnavailable,
    Envelope,
    RcptParameters,
    RelayReply,
    ServerHealth,
    State,
    common_offer,
)
from smtpgate.relay.pool import TooManyConnections

log = logging.getLogger(__name__)

# At one time, to reach who is down. Enough for all mail of a busy server, if each is answered as fast as usual.
MOST_ATTEMPTS = 20
# After so many seconds there may be one more: those under way may wait in vain when it is there again.
ONE_MORE_AFTER = 1.0
# How long a server is put aside, in seconds: doubled with every trial that fails.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Server(Protocol):
    """One server, of which the Downstream is made."""

    @property
    def requiretls(self) -> bool:
        """Whether it honours an envelope's requiretls."""
        ...

    @property
    def per_recipient(self) -> bool:
        """Whether it answers for each recipient of a message (LMTP)."""
        ...

    @property
    def extensions(self) -> frozenset[str] | None:
        """What it offered last, None until it was reached."""
        ...

    async def learn_extensions(self) -> None:
        """Find out what it offers, if it can be reached. Never raises."""
        ...

    def begin(self, envelope: Envelope) -> Delivery:
        """Prepare a transaction; nothing is sent before its first recipient."""
        ...

    def connections(self) -> tuple[int, int]:
        """How many are idle, and how many are busy."""
        ...

    async def close(self) -> None:
        """Close what is pooled."""
        ...


class FailoverDownstream:
    """A Downstream of one server or several, the preferred ones first.

    servers: with their names. clock: any that never goes back, in seconds. random: from 0 to 1, so that many processes
    do not try again at the same moment.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, Server]],
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = system_random.random,
    ) -> None:
        self._members = [Member(name, server, clock, random) for name, server in servers]
        self._per_recipient = any(server.per_recipient for _, server in servers)

    @property
    def requiretls(self) -> bool:
        """Whether all of them honour it."""
        return all(member.server.requiretls for member in self._members)

    @property
    def extensions(self) -> frozenset[str] | None:
        """What all of them offer that were reached."""
        return common_offer(member.server.extensions for member in self._members)

    async def learn_extensions(self) -> None:
        """Ask each of them."""
        await asyncio.gather(*(member.server.learn_extensions() for member in self._members))

    def begin(self, envelope: Envelope) -> "FailoverDelivery":
        """Prepare a transaction; nothing is sent before its first recipient."""
        return FailoverDelivery(envelope, self._in_order, per_recipient=self._per_recipient)

    def health(self) -> list[ServerHealth]:
        """How each server is doing, in the order of the configuration."""
        return [member.health() for member in self._members]

    async def close(self) -> None:
        """Close all of them."""
        for member in self._members:
            await member.server.close()

    def _in_order(self) -> "list[Member]":
        """Whom to try: those that are ready, and behind them the others."""
        return sorted(self._members, key=lambda member: not member.is_ready)


class FailoverDelivery:
    """One transaction, with the first server that answers."""

    def __init__(self, envelope: Envelope, in_order: "Callable[[], Sequence[Member]]", *, per_recipient: bool) -> None:
        self.per_recipient = per_recipient
        self._envelope = envelope
        self._in_order = in_order
        self._accepted = 0
        self._nobody_answers: str | None = None
        self._member: Member | None = None
        self._delivery: Delivery | None = None

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to the server; the first one finds out which. Raises DownstreamUnavailable."""
        if self._member is not None and self._delivery is not None:
            try:
                reply = await self._delivery.recipient(address, parameters)
            except DownstreamUnavailable as trouble:
                self._member.failed(trouble)
                raise
            self._accepted += reply.is_positive
            return reply
        if self._nobody_answers is not None:
            raise DownstreamUnavailable(self._nobody_answers)
        troubles = []
        for member in self._in_order():
            if member.is_besieged:
                troubles.append(f"{member.name}: {member.last_error}")
                continue
            delivery = member.server.begin(self._envelope)
            try:
                reply = await member.tried(delivery, address, parameters)
            except DownstreamUnavailable as trouble:
                troubles.append(f"{member.name}: {trouble}")
                continue
            self._member, self._delivery = member, delivery
            self._accepted += reply.is_positive
            return reply
        self._nobody_answers = "; ".join(troubles)
        raise DownstreamUnavailable(self._nobody_answers)

    async def deliver(self, content: Content) -> list[RelayReply]:
        """Hand over the message. Raises DownstreamUnavailable."""
        if self._member is None or self._delivery is None:
            raise ValueError("no recipient was accepted")
        try:
            replies = await self._delivery.deliver(content)
        except DownstreamUnavailable as trouble:
            self._member.failed(trouble)
            raise
        self._member.delivered += any(reply.is_positive for reply in replies)
        return replies if self._delivery.per_recipient or not self.per_recipient else replies * self._accepted

    async def abandon(self) -> None:
        """Give the transaction up."""
        if self._delivery is not None:
            await self._delivery.abandon()


class Member:
    """One of the servers, and how it is doing."""

    def __init__(self, name: str, server: Server, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self.name = name
        self.server = server
        self.delivered = 0
        self._clock = clock
        self._random = random
        self._state: State = "up"
        self._since = clock()
        self._pause = 0.0
        self._due = 0.0
        self._attempts = 0  # under way
        self._latest = 0.0  # when it began
        self._answered = 0.0  # when an attempt was answered
        self.last_error: str | None = None
        self._failures = 0

    @property
    def is_ready(self) -> bool:
        """Whether the next transaction may go there first."""
        return self._state == "up" or (self._state == "aside" and self._clock() >= self._due)

    @property
    def is_besieged(self) -> bool:
        """Whether it is down, and others are finding out whether it still is."""
        if self._state == "up" or self._attempts < MOST_ATTEMPTS:
            return False
        return self._clock() - self._latest < ONE_MORE_AFTER

    async def tried(self, delivery: Delivery, address: str, parameters: RcptParameters) -> RelayReply:
        """Put a transaction's first recipient. Raises DownstreamUnavailable."""
        probing = self._state == "aside" and self.is_ready
        if probing:
            self._become("probing")
        self._attempts += 1
        began = self._latest = self._clock()
        try:
            reply = await delivery.recipient(address, parameters)
        except DownstreamUnavailable as trouble:
            if began < self._answered:  # others have reached it since
                self._failures += 1
            else:
                self.failed(trouble, probing=probing)
            raise
        except BaseException:
            # It was not the server's doing: the next one may try.
            if probing:
                self._become("aside")
            await delivery.abandon()
            raise
        finally:
            self._attempts -= 1
        self._answered = self._clock()
        if self._state != "up":
            log.warning("%s answers again", self.name)
            self._become("up")
            self._pause = 0.0
        return reply

    def failed(self, trouble: DownstreamUnavailable, *, probing: bool = False) -> None:
        """Note a failure, and put it aside. Of many transactions that fail at once, one counts."""
        self.last_error = str(trouble)
        self._failures += 1
        if self._state == "up" and not isinstance(trouble, TooManyConnections):
            log.warning("%s fails: %s", self.name, trouble)
        elif not probing:
            return
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self._due = self._clock() + self._pause * (1 - self._random() / 4)
        self._become("aside")

    def health(self) -> ServerHealth:
        """How it is doing now."""
        idle, busy = self.server.connections()
        return ServerHealth(
            self.name,
            self._state,
            self._clock() - self._since,
            self.last_error,
            idle,
            busy,
            self.delivered,
            self._failures,
        )

    def _become(self, state: State) -> None:
        # "aside" and "probing" are one time of trouble.
        if "up" in (state, self._state):
            self._since = self._clock()
        self._state = state
