"""The downstream that speaks SMTP or LMTP: transactions over pooled connections."""

import asyncio
from collections.abc import Collection

from smtpgate.content import Content
from smtpgate.relay.connection import FINAL_REPLY_FACTOR, Connection, ConnectionGone
from smtpgate.relay.downstream import NO_PARAMETERS, DownstreamUnavailable, Envelope, RcptParameters, RelayReply
from smtpgate.relay.pool import ConnectionPool, PoolLimits
from smtpgate.relay.security import NO_SECURITY, Security
from smtpgate.relay.url import DownstreamUrl
from smtpgate.relay.wire import checked_address, checked_value
from smtpgate.relay.xforward import Forwarding

# RFC 6531 §3.5: what cannot be said without SMTPUTF8.
_NEEDS_SMTPUTF8 = RelayReply(550, "5.6.7", "The address needs SMTPUTF8, which the next server lacks")
_HEADER_NEEDS_SMTPUTF8 = RelayReply(554, "5.6.9", "The header needs SMTPUTF8, which the next server lacks")
# RFC 6152 §3: we do not convert.
_NEEDS_8BITMIME = RelayReply(554, "5.6.3", "The message needs 8BITMIME, which the next server lacks")
# RFC 8689 §4.2.1: it offered that to others, but not on this connection.
_NEEDS_REQUIRETLS = RelayReply(550, "5.7.30", "REQUIRETLS support required, which the next server lacks")
_LOST_AFTER_OTHERS = RelayReply(451, "4.4.2", "The next server did not answer for this recipient")
# Giving up must not hold anybody up, in seconds.
_RSET_TIMEOUT = 2.0


class SmtpDownstream:
    """An SMTP or LMTP server. hostname: what we say in EHLO."""

    def __init__(
        self,
        url: DownstreamUrl,
        *,
        hostname: str,
        limits: PoolLimits | None = None,
        security: Security = NO_SECURITY,
        forwarding: Forwarding | None = None,
    ) -> None:
        self._limits = limits or PoolLimits()
        self._is_lmtp = url.is_lmtp
        self._security = security
        self._pool = ConnectionPool(url, hostname, self._limits, security)
        self._forwarding = forwarding or Forwarding(hostname)

    @property
    def requiretls(self) -> bool:
        """Whether it is reached in verified TLS and, when last asked, wanted to take care of the rest of the way."""
        return self._security.is_verified and "REQUIRETLS" in (self.extensions or ())

    @property
    def per_recipient(self) -> bool:
        """Whether it speaks LMTP."""
        return self._is_lmtp

    @property
    def extensions(self) -> frozenset[str] | None:
        """What it offered last, None if it was not connected to yet."""
        return self._pool.offered

    async def learn_extensions(self) -> None:
        """Connect once, which tells what it offers. Never raises."""
        try:
            (await self._pool.take_fresh()).quit()
        except DownstreamUnavailable:
            pass  # the first transaction will tell

    def begin(self, envelope: Envelope) -> "SmtpDelivery":
        """Prepare a transaction; nothing is sent before its first recipient."""
        final_timeout = self._limits.timeout * FINAL_REPLY_FACTOR
        return SmtpDelivery(envelope, self._pool, self._forwarding, lmtp=self._is_lmtp, final_timeout=final_timeout)

    def connections(self) -> tuple[int, int]:
        """How many are idle, and how many are busy."""
        return self._pool.idle, self._pool.busy

    async def close(self) -> None:
        """Close what is pooled; connections in use close at the end of their transactions."""
        await self._pool.close()


class SmtpDelivery:
    """One transaction. final_timeout: seconds for the reply to the final dot."""

    def __init__(
        self,
        envelope: Envelope,
        pool: ConnectionPool,
        forwarding: Forwarding,
        *,
        lmtp: bool,
        final_timeout: float,
    ) -> None:
        self._envelope = envelope
        self._pool = pool
        self._forwarding = forwarding
        self._is_lmtp = lmtp
        self._final_timeout = final_timeout
        self._connection: Connection | None = None
        self._is_reused = False
        self._mail_reply: RelayReply | None = None
        self._accepted = 0

    @property
    def per_recipient(self) -> bool:
        """Whether deliver() answers for each recipient."""
        return self._is_lmtp

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Put one recipient to the downstream. Raises DownstreamUnavailable, and Unsendable for a dangerous address."""
        checked_address(address)
        if self._connection is None:
            self._connection = self._pool.take_idle()
            self._is_reused = self._connection is not None
        connection = self._connection = self._connection or await self._pool.take_fresh()
        if self._lacks_smtputf8(address, connection):
            return _NEEDS_SMTPUTF8
        if self._envelope.requiretls and "REQUIRETLS" not in connection.extensions:
            return _NEEDS_REQUIRETLS
        if self._mail_reply is not None and not self._mail_reply.is_positive:
            return self._mail_reply
        try:
            reply = await self._put(_rcpt(address, parameters, connection.extensions), connection)
        except ConnectionGone:
            if not self._is_reused or self._mail_reply is not None:
                raise
            # A pooled connection may have died unnoticed. It answered nothing, so that nothing can happen twice.
            self._is_reused = False
            self._connection = await self._pool.take_fresh()
            return await self.recipient(address, parameters)
        self._accepted += reply.is_positive
        return reply

    async def deliver(self, content: Content) -> list[RelayReply]:
        """Hand over the message. Raises DownstreamUnavailable, and Unsendable for content with bare CR, LF or NUL."""
        connection, expected = self._connection, self._accepted if self._is_lmtp else 1
        if connection is None or not self._accepted:
            raise ValueError("no recipient was accepted")
        refusal = await self._refusal_of(content, connection)
        if refusal is None and expected == 1 and "CHUNKING" in connection.extensions:
            return [await self._deliver_chunk(connection, content)]
        if refusal is None:
            reply = await connection.command(b"DATA\r\n")
            if reply.code == 354:
                await connection.send_content(content, expected)
                replies = await self._final_replies(connection, expected)
                self._end(connection)
                return replies
            refusal = _in_step(reply, connection, but_no_success=True)
        await self.abandon()
        return [refusal] * expected

    async def _deliver_chunk(self, connection: Connection, content: Content) -> RelayReply:
        """BDAT: one round trip less than DATA.

        Not with several replies to come (LMTP): nobody knows how many there are when the chunk itself is refused.
        """
        await connection.send_chunk(content)
        reply = _in_step(await connection.reply(self._final_timeout), connection)
        if reply.is_positive:
            self._end(connection)
        else:
            # RFC 3030 §2: the message has failed; nobody says that the transaction is over.
            await self.abandon()
        return reply

    def _end(self, connection: Connection) -> None:
        """The transaction is over on both sides."""
        self._connection = None
        self._pool.give_back(connection)

    async def abandon(self) -> None:
        """Give the transaction up and the connection back. Never raises, but when it is cancelled itself."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if connection.is_idle and self._mail_reply is not None:
                connection.send(b"RSET\r\n")
                reply = await connection.reply(_RSET_TIMEOUT)
                if not reply.is_positive:  # the next transaction would not begin from nothing
                    connection.fail(DownstreamUnavailable(f"downstream refuses RSET: {reply}"))
        except DownstreamUnavailable:
            pass  # it is closed, and nothing depended on it
        self._pool.give_back(connection)

    async def _put(self, rcpt: bytes, connection: Connection) -> RelayReply:
        """RCPT, and before the first one MAIL: in one write where the downstream allows it (RFC 2920 §3.1)."""
        if self._mail_reply is None:
            self._mail_reply = await self._forwarding.introduce(self._envelope, connection, lmtp=self._is_lmtp)
            if self._mail_reply is not None:
                return self._mail_reply
            pipelining = "PIPELINING" in connection.extensions
            xforward = self._forwarding.xforward(self._envelope, connection)
            if not pipelining:
                for command in xforward:
                    self._forwarding.answered(await connection.command(command), connection)
            mail = self._mail(connection.extensions)
            group = [*xforward, mail, rcpt] if pipelining else [mail]
            connection.send(b"".join(group), len(group))
            for _ in group[:-2]:
                self._forwarding.answered(await connection.reply(), connection)
            self._mail_reply = _in_step(await connection.reply(), connection)
            if pipelining:
                reply = await connection.reply()
                return _in_step(reply, connection) if self._mail_reply.is_positive else self._mail_reply
            if not self._mail_reply.is_positive:
                return self._mail_reply
        return _in_step(await connection.command(rcpt), connection)

    def _mail(self, extensions: Collection[str]) -> bytes:
        envelope = self._envelope
        command = f"MAIL FROM:<{checked_address(envelope.sender)}>"
        if envelope.size is not None and "SIZE" in extensions:
            command += f" SIZE={envelope.size}"
        if envelope.eight_bit and "8BITMIME" in extensions:
            command += " BODY=8BITMIME"
        if envelope.smtputf8 and "SMTPUTF8" in extensions:
            command += " SMTPUTF8"
        if envelope.requiretls:
            command += " REQUIRETLS"
        if "DSN" in extensions:
            command += _parameter("RET", envelope.ret) + _parameter("ENVID", envelope.envid)
        return command.encode() + b"\r\n"

    def _lacks_smtputf8(self, address: str, connection: Connection) -> bool:
        if address.isascii() and self._envelope.sender.isascii():
            return False
        return not self._envelope.smtputf8 or "SMTPUTF8" not in connection.extensions

    async def _refusal_of(self, content: Content, connection: Connection) -> RelayReply | None:
        """What the message needs and the downstream did not offer."""
        extensions = connection.extensions
        if self._envelope.smtputf8 and "SMTPUTF8" not in extensions and not content.head.isascii():
            return _HEADER_NEEDS_SMTPUTF8
        if self._envelope.eight_bit and "8BITMIME" not in extensions:
            return None if await asyncio.to_thread(_is_ascii, content) else _NEEDS_8BITMIME
        return None

    async def _final_replies(self, connection: Connection, expected: int) -> list[RelayReply]:
        """One reply, or with LMTP one for each accepted recipient (RFC 2033 §4.2)."""
        replies: list[RelayReply] = []
        try:
            while len(replies) < expected:
                reply = await connection.reply(self._final_timeout)
                replies.append(_in_step(reply, connection))
        except DownstreamUnavailable:
            if not replies:
                raise
            # Those that were answered for have the message: the others alone may try again.
            replies += [_LOST_AFTER_OTHERS] * (expected - len(replies))
        return replies


def _rcpt(address: str, parameters: RcptParameters, extensions: Collection[str]) -> bytes:
    command = f"RCPT TO:<{address}>"
    if "DSN" in extensions:
        notify, orcpt = parameters
        command += _parameter("NOTIFY", notify)
        # RFC 6533 §3: in its own script only where SMTPUTF8 is spoken; nobody depends on it.
        if orcpt is None or orcpt.isascii() or "SMTPUTF8" in extensions:
            command += _parameter("ORCPT", orcpt)
    return command.encode() + b"\r\n"


def _parameter(keyword: str, value: str | None) -> str:
    return "" if value is None else f" {keyword}={checked_value(value)}"


def _in_step(reply: RelayReply, connection: Connection, *, but_no_success: bool = False) -> RelayReply:
    """The reply, if it is one that the command can have; a downstream that answers anything else is not trusted.

    RFC 5321 §4.2.3: 503 says that it is no time for the command. Of that the client knows nothing; what has a class of
    its own (5.7.0: access denied) is a refusal all the same.
    """
    is_misplaced = reply.code == 503 and (reply.enhanced or "5.5.1").startswith("5.5.")
    if is_misplaced or reply.code // 100 == 3 or (but_no_success and reply.is_positive):
        reason = DownstreamUnavailable(f"downstream is out of step: {reply}")
        connection.fail(reason)
        raise reason
    return reply


def _is_ascii(content: Content) -> bool:
    return all(bytes(piece).isascii() for piece in content)
