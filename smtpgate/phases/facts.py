"""The facts that checks read: the session, the transaction, the recipient.

Whatever is not known yet cannot be read: asking for it raises LookupError, which the engine answers with the rule's
`on_error`. The configuration refuses rules whose input is not known in their phase, so that this cannot happen by
configuration, only by a mistake in a check.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from smtpgate.mailauth.message import HeaderEdit, Message
from smtpgate.phases.score import Points, Score
from smtpgate.tables.keys import without_extension
from smtpgate.values import IPAddress

if TYPE_CHECKING:
    from smtpgate.dns.time_limit import LookupTime
    from smtpgate.phases.message_action import MessageAction
    from smtpgate.phases.phase import Input, Phase
    from smtpgate.phases.verdict import Decision, Verdict

Memo = dict[Any, Any]
T = TypeVar("T")


class Address(NamedTuple):
    """A mailbox of the envelope (RFC 5321 §4.1.2).

    text: as the client wrote it, without brackets and source route; "" for the null sender.
    local: the local part, unquoted. domain: lower case, internationalised labels as A-labels; "[192.0.2.1]" for a
    literal; "" for the bare recipient "postmaster".
    """

    text: str
    local: str
    domain: str

    @property
    def is_null(self) -> bool:
        """Whether this is the null sender `<>` of bounces."""
        return not self.text

    @property
    def is_literal(self) -> bool:
        """Whether the domain is an address literal such as [192.0.2.1]."""
        return self.domain.startswith("[")

    def keys(self, delimiters: str) -> tuple[str, ...]:
        """Under what a list of mailboxes may name it: as it is, without its extension, as @domain; lower case.

        delimiters: the characters that an extension may begin with. Postfix: mail_addr_find.
        """
        local, domain = self.local.lower(), f"@{self.domain}"
        return local + domain, without_extension(local, delimiters) + domain, domain

    def __str__(self) -> str:
        return self.text


NULL_SENDER = Address("", "", "")
_NO_SCORE = Score()


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client showed in its handshake, and proved to have the key of.

    subject, issuer: their common names, or else organizations; "" if they have neither. fingerprint, key_fingerprint:
    SHA-256 of the certificate and of its public key, "0A:1B:…" as Postfix writes them; the latter is "" for a key of an
    unknown kind. verified: whether somebody signed it whom the configuration trusts (client_ca), and it is valid now.
    problem: why it is not.
    """

    subject: str
    issuer: str
    fingerprint: str
    key_fingerprint: str
    verified: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What protects a session. version: "TLSv1.3". cipher: OpenSSL's name. bits: its key length. sni: the name that
    the client asked for (RFC 6066 §3), None if it named none. client_certificate: None if it showed none, or was not
    asked for one.
    """

    version: str
    cipher: str
    bits: int
    sni: str | None = None
    client_certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Via:
    """A server that is trusted and told who the client is.

    by: how, "PROXY v1", "PROXY v2" or "XCLIENT". address, port: its own. name, login: what it knows of the client, ""
    if there is none, None if it did not say.
    """

    by: str
    address: IPAddress
    port: int
    name: str | None = None
    login: str | None = None


@dataclass(slots=True, eq=False)
class Session:
    """One client's session: a TCP connection, or what a trusted server that has it makes of it by XCLIENT.

    client: its address as text. via: the servers that told who the client is, the nearest to it last. tls: what
    protects it, None in plaintext.
    helo: what the client called itself, None before HELO; esmtp: whether it said EHLO. early_talker: it sent bytes
    before the banner. pipelined_after: the command after which it sent more without leave to, None if it never did.
    local: our end of the connection, address and port, as the socket tells it.
    """

    client_address: IPAddress
    client_port: int
    listener: str
    helo: str | None = None
    esmtp: bool = False
    early_talker: bool = False
    pipelined_after: str | None = None
    tls: TlsFacts | None = None
    via: tuple[Via, ...] = ()
    local: tuple[str, int] | None = None
    carried: dict[Phase, Decision | None] = field(default_factory=dict)
    scores: dict[Phase, Score] = field(default_factory=dict)
    memo: Memo = field(default_factory=dict)
    helo_memo: Memo = field(default_factory=dict)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    lookup_time: LookupTime | None = None
    client: str = field(init=False)

    def __post_init__(self) -> None:
        self.client = str(self.client_address)

    @property
    def speaker(self) -> IPAddress:
        """Who speaks to us: the client, unless another server spoke for it by XCLIENT."""
        return self.via[-1].address if self.via and self.via[-1].by == "XCLIENT" else self.client_address

    @property
    def client_name(self) -> str | None:
        """The client's host name, if a trusted server told it."""
        return self.via[-1].name or None if self.via else None

    @property
    def login(self) -> str | None:
        """Who the client has proved to be, None if it has not."""
        return self.via[-1].login or None if self.via else None

    def has_room_for(self, most: int) -> bool:
        """Whether fewer than `most` of its look-ups are in flight."""
        if len(self.tasks) >= most:
            self.forget_finished()
        return len(self.tasks) < most

    def forget_finished(self) -> None:
        """Keep only those look-ups that are in flight."""
        self.tasks = {task for task in self.tasks if not task.done()}

    def set_helo(self, name: str, *, esmtp: bool) -> None:
        """A new HELO or EHLO: what was found out about the former one no longer holds."""
        self.helo, self.esmtp = name, esmtp
        self.helo_memo = {}

    def secured(self, tls: TlsFacts) -> None:
        """TLS has begun: what the client said before counts no more (RFC 3207 §4.2), how it behaved does."""
        self.tls = tls
        self.helo, self.esmtp = None, False
        self.helo_memo = {}


class Transaction:
    """What is known at one point of one transaction. Before MAIL it holds the session alone.

    recipients: those accepted so far. deeds: what is to be done with the message; edits: with fields of its header, by
    number. tagged: by the rule's key, the verdicts whose results go into the message's header.
    score: the points given up to this place. scores: those given up to the end of a phase, at RCPT of a recipient.
    A check receives it with `recipient` set to the one that is asked about; in DATA and END_OF_DATA only if
    there is exactly one (as in Postfix). phase: the command that is being answered, whichever list the check stands in;
    ref: the record's reference; both are known to what does not start early.
    """

    __slots__ = (
        "_helo", "_memos", "_message", "_recipient", "_sender", "body", "carried", "deeds", "edits", "phase",
        "recipients", "ref", "score", "scores", "session", "size", "smtputf8", "tagged",
    )  # fmt: skip

    def __init__(
        self, session: Session, sender: Address | None = None, *, body: str = "7BIT", smtputf8: bool = False,
        size: int | None = None,
    ) -> None:  # fmt: skip
        self.session = session
        self._helo = session.helo  # a look-up may begin when the session has another name already, or none
        self._sender = sender
        self._recipient: Address | None = None
        self._message: Message | None = None
        self.body = body
        self.smtputf8 = smtputf8
        self.size = size
        self.recipients: list[Address] = []
        self.deeds: tuple[MessageAction, ...] = ()
        self.edits: dict[int, HeaderEdit] = {}
        self.tagged: dict[Any, Verdict] = {}
        self.carried: Decision | None = None
        self.score = _NO_SCORE
        self.scores: dict[Any, Score] = {}
        of_transaction: Memo = {}
        # In the order of Input.
        self._memos: tuple[Memo, ...] = (session.memo, session.helo_memo, of_transaction, {}, of_transaction)
        self.phase: Phase | None = None
        self.ref = ""

    @property
    def helo(self) -> str:
        """The name of the last HELO or EHLO."""
        return _known(self._helo, "the HELO name")

    @property
    def sender(self) -> Address:
        """The envelope sender."""
        return _known(self._sender, "the sender")

    @property
    def recipient(self) -> Address:
        """The recipient that is asked about."""
        return _known(self._recipient, "the recipient")

    @property
    def message(self) -> Message:
        """The message's content."""
        return _known(self._message, "the message")

    @property
    def has_recipient(self) -> bool:
        """Whether one single recipient is asked about."""
        return self._recipient is not None

    @property
    def has_sender(self) -> bool:
        """Whether MAIL was given."""
        return self._sender is not None

    def about(self, recipient: Address) -> Transaction:
        """The same transaction, asked about one recipient; what holds for all recipients stays shared."""
        view = Transaction(self.session, self._sender, body=self.body, smtputf8=self.smtputf8, size=self.size)
        view._recipient = recipient
        view._message = self._message
        view.recipients = self.recipients
        view.carried = self.carried
        view._memos = (*self._memos[:3], {}, self._memos[4])
        view.tagged = self.tagged
        view.scores = self.scores
        view.deeds = self.deeds  # those of a recipient that is refused are forgotten with the view
        return view

    def with_message(self, message: Message) -> Transaction:
        """The same transaction at its end of data."""
        view = self.about(self.recipients[0]) if len(self.recipients) == 1 else self
        view._message = message
        return view

    def give(self, rule: Any, points: tuple[Points, ...]) -> None:
        """Add what a rule gives to the score."""
        self._own_score().given[rule] = points

    def give_in_shadow(self, rule: Any, outcome: Any) -> None:
        """Add what a rule in shadow mode gives, or the task that will know."""
        self._own_score().shadow[rule] = outcome

    def with_score(self, score: Score) -> Transaction:
        """The same transaction with another score."""
        view = copy.copy(self)
        view.score = score
        return view

    def _own_score(self) -> Score:
        if self.score is _NO_SCORE:
            self.score = Score()
        return self.score

    def memo_for(self, known: Input) -> Memo:
        """Where an answer that depends on `known` is kept: for as long as it holds."""
        return self._memos[known]


def _known(value: T | None, what: str) -> T:
    if value is None:
        raise LookupError(f"{what} is not known yet")
    return value
