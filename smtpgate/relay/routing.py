"""Mail for some domains goes elsewhere."""

import asyncio
from collections.abc import Mapping

from smtpgate.content import Content
from smtpgate.relay.downstream import (
    NO_PARAMETERS,
    Delivery,
    Downstream,
    Envelope,
    RcptParameters,
    RelayReply,
    ServerHealth,
    common_offer,
)
from smtpgate.values import domain as mail_domain

# RFC 5321 §4.5.3.1.10: after 452 the client sends the rest in another transaction, in which they are the first.
_ANOTHER_ROUTE = RelayReply(452, "4.5.3", "This recipient has another mail server, please send to it separately")


class RoutingDownstream:
    """A Downstream for each domain.

    default: for all others. routes: by domain in lower-case A-labels; ".example.org" is every domain below
    example.org. The nearest one counts.
    """

    def __init__(self, default: Downstream, routes: Mapping[str, Downstream]) -> None:
        self._default = default
        self._routes = routes

    @property
    def requiretls(self) -> bool:
        """Whether every way honours it."""
        return all(downstream.requiretls for downstream in self._all())

    @property
    def extensions(self) -> frozenset[str] | None:
        """What every way offers, as far as it was gone."""
        return common_offer(downstream.extensions for downstream in self._all())

    async def learn_extensions(self) -> None:
        """Ask on all ways."""
        await asyncio.gather(*(downstream.learn_extensions() for downstream in self._all()))

    def begin(self, envelope: Envelope) -> "RoutingDelivery":
        """Prepare a transaction; its first accepted recipient decides where it goes."""
        return RoutingDelivery(envelope, self)

    def route(self, address: str) -> Downstream:
        """Where a recipient's mail goes."""
        name = _domain(address)
        if name in self._routes:
            return self._routes[name]
        dot = name.find(".")
        while dot >= 0:
            if name[dot:] in self._routes:
                return self._routes[name[dot:]]
            dot = name.find(".", dot + 1)
        return self._default

    def health(self) -> list[ServerHealth]:
        """How every server is doing."""
        return [health for downstream in self._all() for health in downstream.health()]

    async def close(self) -> None:
        """Close all of them."""
        for downstream in self._all():
            await downstream.close()

    def _all(self) -> list[Downstream]:
        return list(dict.fromkeys([self._default, *self._routes.values()]))


class RoutingDelivery:
    """One transaction, which has one route."""

    def __init__(self, envelope: Envelope, routing: RoutingDownstream) -> None:
        self._envelope = envelope
        self._routing = routing
        self._downstream: Downstream | None = None
        self._delivery: Delivery | None = None
        self._is_settled = False

    @property
    def per_recipient(self) -> bool:
        """Whether deliver() answers for each recipient."""
        return self._delivery is not None and self._delivery.per_recipient

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to its server, unless the transaction goes to another one already."""
        downstream = self._routing.route(address)
        if self._delivery is None or downstream is not self._downstream:
            if self._is_settled:
                return _ANOTHER_ROUTE
            await self.abandon()
            self._downstream, self._delivery = downstream, downstream.begin(self._envelope)
        reply = await self._delivery.recipient(address, parameters)
        self._is_settled = self._is_settled or reply.is_positive
        return reply

    async def deliver(self, content: Content) -> list[RelayReply]:
        """Hand over the message. Raises DownstreamUnavailable."""
        if self._delivery is None:
            raise ValueError("no recipient was accepted")
        return await self._delivery.deliver(content)

    async def abandon(self) -> None:
        """Give the transaction up."""
        if self._delivery is not None:
            await self._delivery.abandon()


def _domain(address: str) -> str:
    """A recipient's domain as routes name it; "" if it has none."""
    name = address.rpartition("@")[2] if "@" in address else ""
    try:
        return mail_domain(name)
    except ValueError:
        return ""  # a literal
