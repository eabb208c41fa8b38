"""What the server does with one session: asks the phases, puts recipients to the downstream, hands over, records.

It knows nothing of sockets or syntax: the dialog calls it with parsed facts and sends the replies that it returns.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from smtpgate.mailauth.authentication_results import MethodResult, format_field, without_forged
from smtpgate.mailauth.message import Message
from smtpgate.phases.asking import INTERNAL_ERROR
from smtpgate.phases.facts import Address, Session, TlsFacts, Transaction
from smtpgate.phases.phase import Phase
from smtpgate.phases.reply import Reply
from smtpgate.record import Record, RelayEntry, ReplyEntry
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RcptParameters
from smtpgate.smtp.command import MailParameters
from smtpgate.smtp.content import Incoming
from smtpgate.smtp.forwarded import client_attributes
from smtpgate.smtp.message_actions import DISCARDED, HELD, carry_out, prepended
from smtpgate.smtp.outcome import combine, passed_on
from smtpgate.smtp.redelivery import Redelivery
from smtpgate.smtp.services import Services
from smtpgate.smtp.storage import Storage
from smtpgate.smtp.trace import MOST_HOPS, below, received_field

log = logging.getLogger(__name__)

END_OF_DATA = "end of data"
SENDER_OK = Reply(250, "1.0", "Ok")
UNAVAILABLE = Reply(451, "4.1", "Downstream mail server unavailable, please try again later")
HEADER_TOO_LARGE = Reply(552, "3.4", "Message header size exceeds the fixed limit")
TOO_MANY_HOPS = Reply(554, "4.0", "Too many hops")


class Reception:
    """One session's way through the phases. Its methods are called one at a time, in the order of the dialog."""

    def __init__(self, session: Session, services: Services) -> None:
        self.session = session
        self.tx: Transaction | None = None
        self.incoming: Incoming | None = None
        self._services = services
        self._engine = services.engine
        self._outside: Record | None = None  # what happens outside of transactions, which is most often nothing
        self._inside: Record | None = None
        self._delivery: Redelivery | None = None
        self._forwarded: Mapping[str, str] | None = None

    @property
    def _record(self) -> Record:
        """The record that is being written."""
        return self._inside or self._outside_record()

    def _outside_record(self) -> Record:
        if self._outside is None:
            self._outside = self._new_record()
        return self._outside

    @property
    def ref(self) -> str:
        """The reference of the record that is being written."""
        return self._record.ref

    def note(self, command: str, reply: Reply) -> None:
        """Keep in the record what the client was answered."""
        self._record.add(self._record.replies, ReplyEntry(command, reply.line()))

    async def connect(self) -> Reply | None:
        """The CLIENT phase; a reply is a refusal."""
        return await self._decide(Phase.CLIENT)

    def secured(self, tls: TlsFacts) -> None:
        """The TLS handshake is done. Ends a transaction (RFC 3207 §4.2)."""
        self.end_transaction()
        self.session.secured(tls)
        if self._outside is not None:
            self._outside.tls = asdict(tls)
            self._outside.helo = None

    def handshake_failed(self, trouble: str) -> None:
        """The TLS handshake came to nothing, and so does the session."""
        self.end_transaction()
        self._outside_record().tls = {"failed": trouble}

    def proxy_failed(self, trouble: str) -> None:
        """The proxy did not say who the client is, and so the session comes to nothing."""
        self._outside_record().via = [{"by": "PROXY protocol", "failed": trouble}]

    def forwarded(self, attributes: Mapping[str, str]) -> None:
        """Another server says where the next message came from; it may do so bit by bit."""
        self._forwarded = {**(self._forwarded or {}), **attributes}

    async def helo(self, name: str, *, esmtp: bool) -> Reply | None:
        """The HELO phase. Ends a transaction (RFC 5321 §4.1.4)."""
        self.end_transaction()
        self.session.set_helo(name, esmtp=esmtp)
        if self._outside is not None:
            self._outside.helo = name
        refusal = await self._decide(Phase.HELO)
        if refusal is not None:
            self.session.helo = None
        return refusal

    async def mail(self, sender: Address, parameters: MailParameters) -> Reply:
        """The MAIL phase: begins a transaction, unless refused."""
        tx = Transaction(self.session, sender, body=parameters.body, smtputf8=parameters.smtputf8, size=parameters.size)
        self.tx = tx
        record = self._inside = self._new_record()
        record.sender = sender.text
        record.forwarded = self._forwarded
        refusal = await self._decide(Phase.MAIL, tx)
        if refusal is not None:
            return refusal
        envelope = Envelope(
            sender.text,
            smtputf8=parameters.smtputf8,
            eight_bit=parameters.body == "8BITMIME",
            size=parameters.size,
            ret=parameters.ret,
            envid=parameters.envid,
            requiretls=parameters.requiretls,
            client=client_attributes(self.session, record.ref),
            forwarded=self._forwarded,
        )
        services = self._services
        self._delivery = Redelivery(envelope, services.downstream, services.delivered, services.clock)
        return SENDER_OK

    async def rcpt(self, recipient: Address, parameters: RcptParameters) -> Reply:
        """The RCPT phase, then the downstream's own answer."""
        tx, record = self.tx, self._record
        assert tx is not None
        record.add(record.recipients, recipient.text)
        reply, view = None, tx
        if recipient.domain:  # RFC 5321 §4.5.1: bare postmaster is reached whatever the rules say
            view = tx.about(recipient)
            reply = await self._decide(Phase.RCPT, view)
        if reply is None:
            reply = await self._put(recipient, parameters)
            if not reply.is_positive:
                self._refused(reply, "downstream")
        if reply.is_positive:
            tx.recipients.append(recipient)
            tx.deeds = view.deeds
        if tx.recipients:  # a refused recipient does not refuse the transaction
            record.outcome, record.decided_by = "abandoned", None
        return reply

    async def data(self) -> Reply | None:
        """The DATA phase; a reply is a refusal."""
        assert self.tx is not None
        if not self._engine.is_concerned(Phase.DATA):
            return None
        recipients = self.tx.recipients
        view = self.tx.about(recipients[0]) if len(recipients) == 1 else self.tx
        refusal = await self._decide(Phase.DATA, view)
        if refusal is None:
            self.tx.deeds = view.deeds
        return refusal

    def begin_content(self) -> Incoming:
        """What the message is put into. It is forgotten with the transaction."""
        services = self._services
        storage = Storage(services.memory, services.spool)
        self.incoming = Incoming(services.limits.message_size, storage, services.lines)
        return self.incoming

    async def message(self, finish: Callable[[Awaitable[Reply]], Awaitable[Reply]]) -> Reply:
        """END_OF_DATA for the content, then the hand-over; the reply is noted.

        finish: awaits the hand-over, which the client's disappearance must not cancel.
        """
        tx, delivery, incoming = self.tx, self._delivery, self.incoming
        assert tx is not None and delivery is not None and incoming is not None
        content = await incoming.finish()
        self._record.size = incoming.size
        message = Message(content or b"")
        refusal = incoming.refusal or _unacceptable(message)
        if refusal is not None:
            self._refused(refusal, "smtpgate")
        elif self._engine.is_concerned(Phase.END_OF_DATA):
            view = tx.with_message(message)
            refusal = await self._decide(Phase.END_OF_DATA, view)
            tx.deeds, tx.edits = view.deeds, view.edits
        if refusal is not None:
            self.note(END_OF_DATA, refusal)
            return refusal
        # The hand-over ends the transaction.
        self.tx, self._delivery, self.incoming = None, None, None
        return await finish(self._hand_over(delivery, message, incoming, tx, self._record))

    def gives_up(self, reply: Reply) -> None:
        """The server ends the session, or goes no further, whatever it was about."""
        self._record.outcome = "deferred" if reply.is_temporary else "rejected"
        self._record.decided_by = "smtpgate"

    def end_transaction(self) -> None:
        """Whatever came of it, the transaction is over: answered, reset, or the client is gone."""
        if self._delivery is not None:
            self._services.run(self._delivery.abandon())
        if self.tx is not None:
            self._finish(self.tx, self._record, self.incoming)
        self.tx, self._delivery, self.incoming, self._inside = None, None, None, None
        self._forwarded = None

    def close(self) -> None:
        """The session is over, however it ended."""
        self.end_transaction()
        outside = self._outside
        if outside is not None and (outside.replies or outside.rules or (outside.tls and self.session.tls is None)):
            self._finish(Transaction(self.session), outside)
        self._engine.settling.end_session(self.session)

    async def _decide(self, phase: Phase, tx: Transaction | None = None) -> Reply | None:
        """Ask a phase. tx: None before MAIL."""
        if not self._engine.is_concerned(phase):
            return None
        tx = tx or Transaction(self.session)
        await self._engine.prefetch(phase, tx)
        if self._engine.waits_for_rcpt(phase):  # so there is nothing to be recorded, most often in no transaction yet
            return None
        decision = await self._engine.decide(phase, tx, self._record)
        if decision.reply is not None:
            self._refused(decision.reply, decision.rule)
        return decision.reply

    async def _put(self, recipient: Address, parameters: RcptParameters) -> Reply:
        """Put a recipient to the downstream."""
        assert self._delivery is not None
        started = time.perf_counter()
        try:
            answer = await self._delivery.recipient(recipient.text, parameters)
        except DownstreamUnavailable as trouble:
            self._relayed(self._record, f"RCPT {recipient}", str(trouble), started)
            return UNAVAILABLE
        self._relayed(self._record, f"RCPT {recipient}", str(answer), started)
        return passed_on(answer)

    async def _hand_over(
        self, delivery: Redelivery, message: Message, incoming: Incoming, tx: Transaction, record: Record
    ) -> Reply:
        """Give the message to the downstream; its answer is the client's, and ends the record."""
        started = time.perf_counter()
        try:
            rest = below(without_forged(message.edited(tx.edits), self._services.hostname))
            outgoing = message.content.with_head(prepended(tx.deeds) + self._trace(tx, record) + rest)
            if tx.deeds:
                answers = await carry_out(tx.deeds, delivery, outgoing, message.content, self._services, record)
            else:
                answers = await delivery.deliver(outgoing, message.content)
        except DownstreamUnavailable as trouble:
            self._relayed(record, END_OF_DATA, str(trouble), started)
            reply = UNAVAILABLE
        except Exception:
            log.exception("hand-over of %s failed", record.ref)
            await delivery.abandon()  # or its connection would stay busy for ever
            reply = INTERNAL_ERROR
        else:
            for answer in answers:
                self._relayed(record, END_OF_DATA, str(answer), started)
            reply = combine(answers)
        if record.outcome not in (DISCARDED, HELD):
            record.outcome = _outcome(reply)
            record.decided_by = None if reply.is_positive else "downstream"
        record.add(record.replies, ReplyEntry(END_OF_DATA, reply.line()))
        self._finish(tx, record, incoming)
        return reply

    def _trace(self, tx: Transaction, record: Record) -> bytes:
        """What is prepended to the message.

        RFC 8601 §5, RFC 7208 §9.1: the results stand above the Received field of the same server.
        """
        services, fields = self._services, b""
        results: list[MethodResult] = []
        for verdict in tx.tagged.values():
            results += verdict.results
            if verdict.received_spf:
                fields += f"Received-SPF: {verdict.received_spf}\r\n".encode()
        if results:
            fields = format_field(services.hostname, results) + fields
        return fields + received_field(
            self.session,
            tx.recipients,
            hostname=services.hostname,
            ref=record.ref,
            smtputf8=tx.smtputf8,
            now=services.clock(),
        )

    def _new_record(self) -> Record:
        session = self.session
        record = Record(self._services.clock(), session.client, session.listener, helo=session.helo)
        record.began = self._services.monotonic()
        if session.tls:
            record.tls = asdict(session.tls)
        if session.via:
            record.via = [{**asdict(via), "address": str(via.address)} for via in session.via]
        return record

    def _relayed(self, record: Record, command: str, answer: str, started: float) -> None:
        record.add(record.relay, RelayEntry(command, answer, int((time.perf_counter() - started) * 1e6)))

    def _refused(self, reply: Reply, by: str | None) -> None:
        self._record.outcome = _outcome(reply)
        self._record.decided_by = by

    def _finish(self, tx: Transaction, record: Record, incoming: Incoming | None = None) -> None:
        record.ms = round((self._services.monotonic() - record.began) * 1000, 3)
        if incoming is None:
            self._engine.settling.settle(tx, record, self._services.record)
            return

        def settled(record: Record) -> None:
            incoming.close()  # not before: rules in shadow mode may still be reading
            self._services.record(record)

        self._engine.settling.settle(tx, record, settled)


def _outcome(reply: Reply) -> str:
    return "accepted" if reply.is_positive else "deferred" if reply.is_temporary else "rejected"


def _unacceptable(message: Message) -> Reply | None:
    """What no rule is asked about."""
    if message.header_too_large:
        return HEADER_TOO_LARGE
    if message.has_more_than(MOST_HOPS, b"received"):
        return TOO_MANY_HOPS
    return None
