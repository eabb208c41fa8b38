"""An LMTP server as Redelivery sees it, and who sends it one message again and again."""

from collections import Counter

from smtpgate.content import Content
from smtpgate.relay.downstream import NO_PARAMETERS, DownstreamUnavailable, Envelope, RcptParameters, RelayReply
from smtpgate.smtp.redelivery import Redelivery
from tests.fake_store import FakeDelivered
from tests.fakes import Clock

SAVED = RelayReply(250, "2.0.0", "Saved")
FULL = RelayReply(452, "4.2.2", "Full")
UNKNOWN = RelayReply(550, "5.1.1", "Unknown")
LATER = RelayReply(450, "4.2.1", "Later")


class Mailboxes:
    """An LMTP server. answers: for some recipients at the end of data. refuses: for some at RCPT. saved: each message
    and who got it. away: it cannot be reached. per_recipient: False for a server that answers once for all.
    alone: who must be the first of a transaction, as if his mail went another way.
    """

    requiretls = False
    extensions = frozenset()

    def __init__(self, **answers: RelayReply | Exception) -> None:
        self.answers = answers
        self.refuses: dict[str, RelayReply] = {}
        self.saved: list[tuple[str, bytes]] = []
        self.begun = 0
        self.ended = 0
        self.away = False
        self.per_recipient = True
        self.alone: set[str] = set()

    def begin(self, envelope: Envelope) -> "Transaction":
        self.begun += 1
        return Transaction(self)

    def health(self):
        return []

    async def close(self) -> None:
        pass


class Transaction:
    def __init__(self, server: Mailboxes) -> None:
        self._server = server
        self._accepted: list[str] = []
        self._over = False

    @property
    def per_recipient(self) -> bool:
        return self._server.per_recipient

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        assert not self._over
        if self._server.away:
            raise DownstreamUnavailable("away")
        reply = self._server.refuses.get(address, RelayReply(250, "2.1.5", "Ok"))
        if address in self._server.alone and self._accepted:
            reply = RelayReply(452, "4.5.3", "Separately")
        if reply.is_positive:
            self._accepted.append(address)
        return reply

    async def deliver(self, content: Content) -> list[RelayReply]:
        assert not self._over
        assert self._accepted
        self._end()
        answers = [self._server.answers.get(address, SAVED) for address in self._accepted]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        taken = [address for address, answer in zip(self._accepted, answers, strict=True) if answer.is_positive]
        self._server.saved += [(address, b"".join(content)) for address in taken]
        return answers if self._server.per_recipient else answers[:1]

    async def abandon(self) -> None:
        if not self._over:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._server.ended += 1


class Sender:
    """Sends one message again and again."""

    def __init__(self, server: Mailboxes, memory: FakeDelivered | None = None) -> None:
        self.server = server
        self.memory = memory or FakeDelivered()
        self.clock = Clock()
        self._attempts = 0

    async def send(
        self, *recipients: str, sender="me@x", content=b"Subject: x\r\n\r\nHello\r\n", copies=()
    ) -> list[RelayReply]:
        self._attempts += 1
        transaction = Redelivery(Envelope(sender), self.server, self.memory, self.clock)
        for recipient in recipients:
            await transaction.recipient(recipient)
        received = Content.of(content)
        outgoing = received.with_head(b"Received: attempt %d\r\n" % self._attempts + received.head)
        try:
            return await transaction.deliver(outgoing, received, [(copy, NO_PARAMETERS) for copy in copies])
        finally:
            assert self.server.begun == self.server.ended

    def got(self) -> Counter[str]:
        return Counter(address for address, _ in self.server.saved)
