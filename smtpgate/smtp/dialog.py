"""The commands of the dialog (RFC 5321 §4.1): syntax and sequence here, everything else in the reception."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar

from smtpgate.phases.facts import Address
from smtpgate.phases.reply import Reply
from smtpgate.smtp.address import AddressError, parse_path
from smtpgate.smtp.command import CommandError, parse_chunk, parse_mail_parameters, parse_rcpt_parameters
from smtpgate.smtp.content import TOO_LARGE
from smtpgate.smtp.conversation import Conversation
from smtpgate.smtp.data import DataDecoder
from smtpgate.smtp.forwarded import (
    IN_TRANSACTION,
    NOT_AUTHORIZED,
    XCLIENT_ATTRIBUTES,
    XFORWARD_ATTRIBUTES,
    parse_xclient,
    parse_xforward,
    spoken_for,
)
from smtpgate.smtp.offer import greeting, relayed_extensions
from smtpgate.values import Network, is_in

OK = Reply(250, "0.0", "Ok")
BYE = Reply(221, "0.0", "Bye")
HELP = Reply(214, "0.0", "See RFC 5321; every refusal names a reference that the postmaster can look up")
CANNOT_VERIFY = Reply(252, "0.0", "Cannot verify the user; send the message and see")
NOT_IMPLEMENTED = Reply(502, "5.1", "Error: command not implemented")
NO_ARGUMENT = Reply(501, "5.4", "Syntax error: no argument allowed")
HELO_SYNTAX = Reply(501, "5.4", "Syntax: HELO or EHLO hostname")
MAIL_SYNTAX = Reply(501, "5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, "5.4", "Syntax: RCPT TO:<address>")
HELO_FIRST = Reply(503, "5.1", "Error: send HELO or EHLO first")
NESTED_MAIL = Reply(503, "5.1", "Error: nested MAIL command")
NEED_MAIL = Reply(503, "5.1", "Error: need MAIL command")
NO_VALID_RECIPIENTS = Reply(554, "5.1", "Error: no valid recipients")
TOO_MANY_RECIPIENTS = Reply(452, "5.3", "Error: too many recipients")
IN_CHUNKS = Reply(503, "5.1", "Error: the message has begun with BDAT")
READY_FOR_TLS = Reply(220, "0.0", "Ready to start TLS")
TLS_ACTIVE = Reply(503, "5.1", "Error: TLS is active already")
TLS_FIRST = Reply(530, "7.0", "Must issue a STARTTLS command first")
REQUIRETLS_UNSUPPORTED = Reply(550, "7.30", "REQUIRETLS support required")
NEEDS_SMTPUTF8 = Reply(553, "6.7", "Address needs SMTPUTF8")

_START_INPUT = b"354 End data with <CR><LF>.<CR><LF>\r\n"
# RFC 5321 §4.1.1.1 wants a domain or a literal; what else clients send is for the HELO rules to judge.
_HELO_NAME = re.compile(r"[!-~]{1,255}(?= |\Z)")


class Dialog(Conversation):
    """Answers the commands. Each method is given the command's argument; errors are raised as CommandError."""

    _relayed: frozenset[str] = frozenset()  # what was offered that the downstream must do too

    async def smtp_HELO(self, argument: str) -> None:
        """RFC 5321 §4.1.1.1."""
        if await self._greeted("HELO", argument):
            self.answer_raw(b"250 %s\r\n" % self.hostname.encode())

    async def smtp_EHLO(self, argument: str) -> None:
        """RFC 5321 §4.1.1.1; the keywords are what this server really does."""
        if await self._greeted("EHLO", argument):
            limits, session = self.services.limits, (*self._tls_keywords(), *self._peer_keywords())
            self.answer_raw(
                greeting(
                    self.hostname,
                    self._relayed,
                    session,
                    message_size=limits.message_size,
                    recipients=limits.recipients,
                )
            )

    def _tls_keywords(self) -> list[str]:
        if self.facts.tls is None:
            return ["STARTTLS"] if self.tls_mode == "starttls" else []
        # RFC 8689 §2: it is offered in TLS only, and only by who can keep the promise.
        return ["REQUIRETLS"] if self.services.downstream.requiretls else []

    def _peer_keywords(self) -> list[str]:
        """For those who may speak for others."""
        offered, speaker, peers = [], self.facts.speaker, self.services.peers
        if is_in(speaker, peers.xclient):
            offered.append(f"XCLIENT {' '.join(XCLIENT_ATTRIBUTES)}")
        if is_in(speaker, peers.xforward):
            offered.append(f"XFORWARD {' '.join(XFORWARD_ATTRIBUTES)}")
        return offered

    async def _greeted(self, verb: str, argument: str) -> bool:
        match = _HELO_NAME.match(argument)
        if match is None:
            raise CommandError(HELO_SYNTAX)
        # What is offered now holds until the next greeting, whatever becomes known of the downstream meanwhile.
        self._relayed = relayed_extensions(self.services.downstream.extensions)
        refusal = await self.reception.helo(match[0], esmtp=verb == "EHLO")
        if refusal is not None:
            self.answer(verb, refusal)
        return refusal is None

    async def smtp_MAIL(self, argument: str) -> None:
        """RFC 5321 §4.1.1.2."""
        if self.facts.helo is None:
            raise CommandError(HELO_FIRST)
        if self.reception.tx is not None:
            raise CommandError(NESTED_MAIL)
        if self._certificates == "require" and self.facts.tls is None:
            raise CommandError(TLS_FIRST)
        sender, rest = _path(argument, "FROM:", MAIL_SYNTAX, "1.7")
        parameters = parse_mail_parameters(rest, self._relayed, in_tls=self.facts.tls is not None)
        if sender.text and not sender.domain:
            raise CommandError(Reply(501, "1.7", "Bad sender address syntax"))
        if not sender.text.isascii() and not parameters.smtputf8:
            raise CommandError(NEEDS_SMTPUTF8)
        if parameters.requiretls and not self.services.downstream.requiretls:
            raise CommandError(REQUIRETLS_UNSUPPORTED)
        # RFC 1870 §6.1
        if parameters.size is not None and parameters.size > self.services.limits.message_size:
            raise CommandError(TOO_LARGE)
        refusal = self.conduct.message_share()
        if refusal is not None:
            self.refuse_share(f"MAIL FROM:<{sender}>", refusal)
            return
        reply = await self.reception.mail(sender, parameters)
        self.answer("MAIL", reply)
        if not reply.is_positive:
            self.reception.end_transaction()

    async def smtp_RCPT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.3."""
        tx = self.reception.tx
        if tx is None:
            raise CommandError(NEED_MAIL)
        if self.reception.incoming is not None:
            raise CommandError(IN_CHUNKS)
        recipient, rest = _path(argument, "TO:", RCPT_SYNTAX, "1.3")
        parameters = parse_rcpt_parameters(rest, self._relayed, smtputf8=tx.smtputf8)
        if recipient.is_null:
            raise CommandError(Reply(501, "1.3", "Bad recipient address syntax"))
        if not recipient.text.isascii() and not tx.smtputf8:
            raise CommandError(NEEDS_SMTPUTF8)
        # RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
        if len(tx.recipients) >= self.services.limits.recipients:
            self.answer("RCPT", TOO_MANY_RECIPIENTS)
            return
        command = f"RCPT {recipient.text}"
        refusal = self.conduct.recipient_share()
        if refusal is not None:
            self.refuse_share(command, refusal)
            return
        reply = await self.reception.rcpt(recipient, parameters)
        if reply.is_positive:
            self.reception.note(command, reply)
        self.answer(command, reply)

    async def smtp_DATA(self, argument: str) -> None:
        """RFC 5321 §4.1.1.4."""
        if self.reception.incoming is not None:  # RFC 3030 §2: not after BDAT
            raise CommandError(IN_CHUNKS)
        if self.reception.tx is None:
            raise CommandError(NEED_MAIL)
        if not self.reception.tx.recipients:  # RFC 5321 §3.3: none was given, or all were refused
            raise CommandError(NO_VALID_RECIPIENTS)
        if argument:
            raise CommandError(NO_ARGUMENT)
        refusal = await self.reception.data()
        if refusal is not None:
            self.answer("DATA", refusal)
            return
        self.answer_raw(_START_INPUT)
        await self.flush()
        incoming = self.reception.begin_content()
        decoder = DataDecoder(incoming.add)

        def take(data: bytes) -> bytes | None:
            decoder.feed(data)
            return decoder.rest if decoder.done or incoming.is_behind else None

        while not decoder.done:
            await self.receive(take)
            if incoming.is_behind:
                await incoming.flush()
        await self._end_message()

    async def smtp_BDAT(self, argument: str) -> None:
        """RFC 3030 §2. A chunk that is refused ends the transaction."""
        if self.reception.tx is None:
            raise CommandError(NEED_MAIL)
        size, is_last = parse_chunk(argument)
        incoming = self.reception.incoming
        if incoming is None:
            refusal = await self.reception.data() if self.reception.tx.recipients else NO_VALID_RECIPIENTS
            if refusal is not None:
                self.answer("BDAT", refusal)
                self.reception.end_transaction()
                return
            incoming = self.reception.begin_content()

        def take(data: bytes) -> bool:
            incoming.add(data)
            return not incoming.is_behind

        while self.chunk_left:
            await self.receive_chunk(take)
            if incoming.is_behind:
                await incoming.flush()
        if is_last or incoming.refusal is not None:
            await self._end_message()
        else:
            self.answer("BDAT", Reply(250, "0.0", f"Ok: {size} octets"))

    async def _end_message(self) -> None:
        reply = await self.reception.message(self.finish)
        # The reference stands in the final 250 too: it leads from the client's log to the record.
        self.answer_raw(f"{reply.line(self.reception.ref)}\r\n".encode())
        self.leave_after(reply)
        self.conduct.message_answered(reply)
        self.reception.end_transaction()

    async def smtp_RSET(self, argument: str) -> None:
        """RFC 5321 §4.1.1.5."""
        if argument:
            raise CommandError(NO_ARGUMENT)
        self.reception.end_transaction()
        self.answer("RSET", OK)

    async def smtp_NOOP(self, argument: str) -> None:
        """RFC 5321 §4.1.1.9: an argument is ignored."""
        self.answer("NOOP", OK)

    async def smtp_VRFY(self, argument: str) -> None:
        """RFC 5321 §3.5.3: neither confirmed nor denied."""
        if not argument:
            raise CommandError(Reply(501, "5.4", "Syntax: VRFY address"))
        self.answer("VRFY", CANNOT_VERIFY)

    async def smtp_HELP(self, argument: str) -> None:
        """RFC 5321 §4.1.1.8."""
        self.answer("HELP", HELP)

    async def smtp_QUIT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.10."""
        if argument:
            raise CommandError(NO_ARGUMENT)
        self.answer("QUIT", BYE)
        self.goes = True

    async def smtp_STARTTLS(self, argument: str) -> None:
        """RFC 3207 §4."""
        if self.facts.tls is not None:
            raise CommandError(TLS_ACTIVE)
        if self.tls_mode != "starttls":
            raise CommandError(NOT_IMPLEMENTED)
        if argument:
            raise CommandError(NO_ARGUMENT)
        await self.start_tls(READY_FOR_TLS)

    async def smtp_XCLIENT(self, argument: str) -> None:
        """Postfix's XCLIENT_README: the session begins anew, with the client that is named."""
        self._refuse_to_forward(self.services.peers.xclient)
        await self.speak_for(spoken_for(self.facts, parse_xclient(argument)))

    async def smtp_XFORWARD(self, argument: str) -> None:
        """Postfix's XFORWARD_README: for the record and for the downstream's logs, no rule looks at it."""
        self._refuse_to_forward(self.services.peers.xforward)
        self.reception.forwarded(parse_xforward(argument))
        self.answer("XFORWARD", OK)

    def _refuse_to_forward(self, trusted: Iterable[Network]) -> None:
        if not is_in(self.facts.speaker, trusted):
            raise CommandError(NOT_AUTHORIZED)
        if self.reception.tx is not None:
            raise CommandError(IN_TRANSACTION)

    async def _not_implemented(self, argument: str) -> None:
        raise CommandError(NOT_IMPLEMENTED)

    VERBS: ClassVar[dict[str, Callable[..., Awaitable[None]]]] = {
        "HELO": smtp_HELO,
        "EHLO": smtp_EHLO,
        "MAIL": smtp_MAIL,
        "RCPT": smtp_RCPT,
        "DATA": smtp_DATA,
        "BDAT": smtp_BDAT,
        "RSET": smtp_RSET,
        "NOOP": smtp_NOOP,
        "VRFY": smtp_VRFY,
        "HELP": smtp_HELP,
        "QUIT": smtp_QUIT,
        "STARTTLS": smtp_STARTTLS,
        "XCLIENT": smtp_XCLIENT,
        "XFORWARD": smtp_XFORWARD,
        "EXPN": _not_implemented,
        "AUTH": _not_implemented,
    }


def _path(argument: str, keyword: str, syntax: Reply, bad_address: str) -> tuple[Address, str]:
    if argument[: len(keyword)].upper() != keyword:
        raise CommandError(syntax)
    try:
        # RFC 5321 §3.3 allows no blank before "<"; many clients send one.
        return parse_path(argument[len(keyword) :].lstrip(" "))
    except AddressError as error:
        raise CommandError(Reply(501, bad_address, f"Bad address syntax: {error}")) from None
