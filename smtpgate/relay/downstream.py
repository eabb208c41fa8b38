"""The downstream as the dialog sees it: a transaction that mirrors the client's, command by command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from smtpgate.content import Content

State = Literal["up", "aside", "probing"]


class RelayReply(NamedTuple):
    """What the downstream answered. code: 200–599. enhanced: such as "5.1.1", None if it sent none. text: its
    text without codes, lines joined by a blank; not yet made safe for anybody else.
    """

    code: int
    enhanced: str | None
    text: str

    @property
    def is_positive(self) -> bool:
        """Whether it took what was put to it (2xx)."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        codes = f"{self.code} {self.enhanced}" if self.enhanced else str(self.code)
        return f"{codes} {self.text}" if self.text else codes


class Envelope(NamedTuple):
    """What MAIL says. sender: "" for the null sender. eight_bit: the client declared BODY=8BITMIME.

    ret, envid: as RFC 3461 §4 has them, for a downstream that offers DSN.
    requiretls: the message may travel in verified TLS only (RFC 8689). client: whom it came from, as XFORWARD has it:
    NAME, ADDR and so on, "" for what is not known; None for nobody. forwarded: the same of whom it came from before
    that, if the client told.
    """

    sender: str
    smtputf8: bool = False
    eight_bit: bool = False
    size: int | None = None
    ret: str | None = None
    envid: str | None = None
    requiretls: bool = False
    client: Mapping[str, str] | None = None
    forwarded: Mapping[str, str] | None = None


class RcptParameters(NamedTuple):
    """What RCPT says besides the recipient: as RFC 3461 §4 has it, for a downstream that offers DSN."""

    notify: str | None = None
    orcpt: str | None = None


NO_PARAMETERS = RcptParameters()


class DownstreamUnavailable(Exception):
    """The downstream cannot be used now: refused, timed out, hung up, answered nonsense.

    The text is for the record, never for the wire.
    """


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How one server is doing.

    name: its URL. state: "aside" after a failure, "probing" while one transaction tries again. seconds: how long it has
    been up, or not. last_error: for the administrator. idle, busy: connections. delivered: messages that it took.
    failures: how often it failed, or had no connection to spare.
    """

    name: str
    state: State
    seconds: float
    last_error: str | None
    idle: int
    busy: int
    delivered: int
    failures: int


class Delivery(Protocol):
    """One transaction with the downstream. After deliver() or abandon() it is over."""

    @property
    def per_recipient(self) -> bool:
        """Whether deliver() answers for each accepted recipient (LMTP); known once one was accepted."""
        ...

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to the downstream; the first call connects and sends MAIL.

        A refused MAIL is the answer to every recipient. Raises DownstreamUnavailable, and ValueError for an address or
        a value that must never be sent (line ends, unquoted blanks or angle brackets).
        """
        ...

    async def deliver(self, content: Content) -> list[RelayReply]:
        """Hand over the message: lines ended by CRLF, dots not yet stuffed.

        Returns one reply for all accepted recipients, or, with LMTP, one for each in their order.
        Raises DownstreamUnavailable, and ValueError for content with a bare CR, a bare LF or a NUL, of which nothing is
        delivered. Whatever it raises, the connection is closed.
        """
        ...

    async def abandon(self) -> None:
        """Give the transaction up and the connection back. Never raises."""
        ...


class Downstream(Protocol):
    """Where accepted mail goes."""

    @property
    def extensions(self) -> frozenset[str] | None:
        """What its servers offered last, all that were reached, keywords in upper case; None until one was."""
        ...

    async def learn_extensions(self) -> None:
        """Find out what it offers, if it can be reached. Never raises."""
        ...

    @property
    def requiretls(self) -> bool:
        """Whether an envelope's requiretls is honoured (RFC 8689 §4.2): if not, none with it is begun."""
        ...

    def begin(self, envelope: Envelope) -> Delivery:
        """Prepare a transaction; nothing is sent before its first recipient."""
        ...

    def health(self) -> list[ServerHealth]:
        """How each of its servers is doing."""
        ...

    async def close(self) -> None:
        """Close what is pooled."""
        ...


def common_offer(offers: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """What all servers offer of which it is known; None if it is known of none."""
    known = [offer for offer in offers if offer is not None]
    return frozenset.intersection(*known) if known else None
