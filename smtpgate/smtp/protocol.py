"""The connection: the one place where aiosmtpd's SMTP class is subclassed, and the loop that reads commands.

What is replaced, and why:
- the constructor, which looks up every method by reflection for each connection;
- the loop, which has no place for the CLIENT phase, limits nothing and answers without enhanced codes;
- connection_lost, which does not leave a failed handshake the time to be told about;
- eof_received, which cancels the running handler, so that a half-close would kill a relay in flight;
- the timer, which cuts slow handlers and slow DATA without a 421;
- exception handling, which puts exception text on the wire;
- STARTTLS, which needs the insides of asyncio's TLS and gives it a context once and for all.
"""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, NoReturn, cast

from aiosmtpd.smtp import SMTP

from smtpgate.phases.engine import INTERNAL_ERROR
from smtpgate.phases.facts import Session, Via
from smtpgate.phases.reply import Reply
from smtpgate.smtp.command import TOO_LONG, Command, CommandError, parse_chunk, parse_command
from smtpgate.smtp.conduct import Conduct
from smtpgate.smtp.content import TOO_LARGE
from smtpgate.smtp.ended import Ended
from smtpgate.smtp.foreign import NOT_SMTP, foreign_protocol
from smtpgate.smtp.intake import CHUNK, Intake, bytes_waiting
from smtpgate.smtp.proxy_protocol import ProxyError
from smtpgate.smtp.reception import Reception
from smtpgate.smtp.services import Services
from smtpgate.smtp.tls import (
    HANDSHAKE_TIMEOUT,
    CertificateMode,
    HandshakeError,
    TlsMode,
    lacks_certificate,
    start_tls,
    tls_facts,
)
from smtpgate.values import IPAddress, Network, is_in, unmapped

log = logging.getLogger(__name__)

NOT_RECOGNIZED = Reply(500, "5.2", "Error: command not recognized")
TOO_MANY_SESSIONS = Reply(421, "3.2", "Too many connections, please try again later")
NO_PROXY = Reply(421, "3.2", "Connections must come through our proxy, and say from where")
TOO_MANY_ERRORS = Reply(421, "7.0", "Too many errors")
SHUTTING_DOWN = Reply(421, "3.2", "Server is shutting down, please try again later")
TIMED_OUT = Reply(421, "4.2", "Timeout exceeded, closing connection")
TOO_SLOW = Reply(421, "4.2", "The message comes too slowly, closing connection")
NOTHING_DELIVERED = Reply(421, "4.2", "Session lasts too long without a message, closing connection")
TALKED_EARLY = Reply(521, "5.1", "Protocol error: input before the banner")
GREETED_ALL_THE_SAME = Reply(220, "0.0", "Banner")
ACCESS_DENIED = Reply(503, "7.0", "Error: access denied")

# RFC 2920 §3.1: these must be the last command of a pipelined group.
_LAST_IN_GROUP = frozenset({"HELO", "EHLO", "DATA", "NOOP", "VRFY", "EXPN", "HELP", "STARTTLS", "AUTH"})

# The largest chunk that is read only to be dropped, as a multiple of the largest message.
_DROPPED_AT_MOST = 4

# How long a proxy may take to say who the client is, in seconds; its TCP may need 3 to repeat it.
_PROXY_HEADER_WITHIN = 5.0

# How long a client that is hung up on may take to read why, in seconds.
_LAST_WORDS = 10.0


class Closed(Exception):
    """The session ends here: the client is gone or was sent away."""


class Connection(SMTP):
    """One client's connection. The commands are in the subclass (dialog.py)."""

    # An instance with more than 30 attributes in its dictionary cannot share the keys: 1.2 kB more for each client.
    __slots__ = (
        "_between_commands", "_certificates", "_handler_coroutine", "_listener", "_reader", "_replies",
        "_shaking_hands", "_waiting_since", "_writer", "chunk_left", "conduct", "ended", "envelope", "facts", "intake",
        "reception", "services", "session", "tls_mode",
    )  # fmt: skip

    VERBS: ClassVar[dict[str, Callable[..., Awaitable[None]]]] = {}

    def __init__(
        self,
        services: Services,
        listener: str,
        *,
        loop: asyncio.AbstractEventLoop,
        tls: TlsMode = "none",
        certificates: CertificateMode = "none",
        proxies: Sequence[Network] = (),
    ) -> None:
        self.intake = Intake(loop)
        asyncio.StreamReaderProtocol.__init__(
            self, self.intake, client_connected_cb=self._cb_client_connected, loop=loop
        )
        self.loop = loop
        self.event_handler = None
        self.hostname = services.hostname
        self.enable_SMTPUTF8 = True
        self.tls_context = None
        self.session = None
        self.envelope = None
        self.transport = None
        self._timeout_duration = services.limits.command_timeout
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._tls_handshake_okay = True
        self._tls_protocol = None
        self._original_transport = None
        self._handler_coroutine: asyncio.Task[None] | None = None

        self.services = services
        self.chunk_left = 0
        self.ended = Ended()
        self.facts: Session
        self.reception: Reception
        self.tls_mode = tls
        self.conduct: Conduct
        self._certificates = certificates
        self._listener = listener
        self._proxies = proxies
        self._refusal: Reply | None = None
        self._replies: list[bytes] = []
        self._waiting_since: float | None = None
        self._between_commands = False
        self._shaking_hands = False

    # --- the connection's life

    async def _handle_client(self) -> None:
        """aiosmtpd's entry point, run as a task for each connection."""
        services = self.services
        services.connections.add(self)
        self._begin(Session(*_peer(self.transport), self._listener))
        try:
            if self._proxies:
                await self._meet_client()
            await self._serve()
        except (Closed, ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception:
            log.exception("session with %s failed", self.facts.client_address)
            with contextlib.suppress(ConnectionError):
                self.answer("session", Reply(421, "3.0", INTERNAL_ERROR.text))
                await self.flush()
        finally:
            services.connections.discard(self)
            services.room.leave(self)
            self.ended.set()
            self._end()
            self._leave()

    def _begin(self, session: Session) -> None:
        session.local = self.transport.get_extra_info("sockname") if self.transport is not None else None
        self.facts = session
        self.reception = Reception(session, self.services)
        self.conduct = Conduct(self.reception, self.services)

    def _end(self) -> None:
        self.conduct.close()
        self.reception.close()

    async def _meet_client(self) -> None:
        """Have the proxy say who the client is. Raises Closed."""
        proxy = self.facts
        if not is_in(proxy.client_address, self._proxies):
            await self._turn_away(NO_PROXY, "not through a proxy")
        try:
            header = await self.intake.proxy_header(min(_PROXY_HEADER_WITHIN, self._timeout_duration))
        except ProxyError as error:
            log.warning("no connection from the proxy %s: PROXY header: %s", proxy.client_address, error)
            self.reception.proxy_failed(str(error))
            await self._turn_away(NO_PROXY, "no PROXY header")
        if header.client is not None:
            via = Via(f"PROXY v{header.version}", proxy.client_address, proxy.client_port)
            self._end()
            self._begin(Session(*header.client, self._listener, via=(via,)))

    async def speak_for(self, session: Session) -> None:
        """From now on the session is with another client; the CLIENT phase and the banner answer. Raises Closed."""
        helo, esmtp, session.helo = session.helo, session.esmtp, None
        self._end()
        self._begin(session)
        if self.conduct.guest is not None and self.conduct.guest.refusal is not None:
            await self.close_with("XCLIENT", self.conduct.guest.refusal)
        refusal = await self.reception.connect()
        if refusal is None and helo is not None:
            refusal = await self.reception.helo(helo, esmtp=esmtp)
        self._welcome(refusal)

    def _leave(self) -> None:
        """Close, and do not wait for ever until the client has read the last replies or shaken hands."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        if self.transport is not None:
            if not self.transport.is_closing():
                self._writer.close()
            self._timeout_handle = self.loop.call_later(_LAST_WORDS, self.abort)

    async def _admit(self) -> None:
        """Make room, and a secure way. Raises Closed."""
        refusal = self._no_room()
        if refusal is not None:
            await self._turn_away(refusal, "too many connections")
        if self.tls_mode == "implicit":
            await self.secure()

    async def _turn_away(self, refusal: Reply, why: str) -> NoReturn:
        """Send a client away that is not let in."""
        if self.tls_mode == "implicit":  # words would need the very handshake that it is not worth
            self.reception.gives_up(refusal)
            self.reception.handshake_failed(f"not begun: {why}")
            raise Closed
        await self.close_with("connect", refusal)

    def _no_room(self) -> Reply | None:
        """Why there is none for one more session, or for one more of this network."""
        if not self.services.room.enter():
            return TOO_MANY_SESSIONS
        return None if self.conduct.guest is None else self.conduct.guest.refusal

    async def _serve(self) -> None:
        await self._admit()
        refusal = await self.reception.connect()
        await self._pause()
        self._welcome(refusal)
        while True:
            if self.services.closing and self.reception.tx is None:
                await self.close_with("shutdown", SHUTTING_DOWN)
            if not self.intake.has_line:
                await self.flush()
            line = await self._line()
            mistakes = self.conduct.mistakes
            try:
                if line is None:
                    raise CommandError(TOO_LONG)
                command = parse_command(line)
                await self._expect_chunk(command)
                handler = self.VERBS.get(command.verb)
                if handler is None:
                    raise CommandError(NOT_RECOGNIZED)
                # RFC 5321 §3.1: whoever was refused at the banner may only QUIT, or go on with another client.
                if self._refusal is not None and command.verb not in ("QUIT", "XCLIENT"):
                    raise CommandError(ACCESS_DENIED)
                self._watch_pipelining(command.verb)
                self.conduct.command(command.verb)
                await handler(self, command.argument)
            except CommandError as error:
                await self._misunderstood(line, error.reply)
            # RFC 3030 §2: after an error the chunk is still accepted, and dropped, before the reply goes out.
            while self.chunk_left:
                await self.chunk()
            await self._judge(mistakes)

    def _welcome(self, refusal: Reply | None) -> None:
        self._refusal = refusal
        if refusal is None:
            self._replies.append(b"220 %s ESMTP smtpgate\r\n" % self.hostname.encode())
        else:
            self.answer("connect", refusal)

    async def _pause(self) -> None:
        """Hold the banner back from a new client, to see whether it waits (Postfix: postscreen_greet_wait)."""
        pause = self.conduct.greet_pause
        if pause:
            await self.intake.wait_for_bytes(pause)
        # RFC 5321 §3.1: the server speaks first.
        self.facts.early_talker = self._more_is_there()
        if not self.facts.early_talker:
            if not self.intake.at_eof():
                self.conduct.waited_for_banner()
            return
        said = f"before the banner: {_shown(self.intake.beginning)}"
        if self.conduct.talked_early():
            await self.close_with(said, TALKED_EARLY)
        self.reception.note(said, GREETED_ALL_THE_SAME)

    async def _misunderstood(self, line: bytes | None, reply: Reply) -> None:
        """Answer a command that the client got wrong; whoever speaks another protocol has to go."""
        if line is not None and foreign_protocol(line) is not None:
            self.reception.gives_up(NOT_SMTP)
            self.reception.note(_shown(line), NOT_SMTP)
            await self.close_with(_shown(line), NOT_SMTP)
        self.answer(_shown(line), reply)

    async def _judge(self, mistakes: int) -> None:
        """Who made one more mistake waits for the reply, or has to go (Postfix: smtpd_error_sleep_time)."""
        if self.reception.tx is None:
            self.conduct.between_transactions()
        if self.conduct.mistakes <= mistakes:
            return
        if self.conduct.is_unbearable:
            await self.close_with("errors", TOO_MANY_ERRORS)
        if self.conduct.delay:
            await asyncio.sleep(self.conduct.delay)

    async def _expect_chunk(self, command: Command) -> None:
        """Note how many octets follow BDAT: whatever becomes of the command, they are never taken for commands."""
        if command.verb != "BDAT":
            return
        try:
            size, _ = parse_chunk(command.argument)
        except CommandError as error:
            # Nobody knows where the next command begins: like Postfix, hang up.
            await self.close_with("BDAT", error.reply)
        if size > _DROPPED_AT_MOST * self.services.limits.message_size:
            await self.close_with("BDAT", TOO_LARGE)
        self.chunk_left = size

    def _watch_pipelining(self, verb: str) -> None:
        """Note commands sent ahead without leave (RFC 2920 §3.1; Postfix: reject_unauth_pipelining)."""
        facts = self.facts
        if facts.pipelined_after is not None or verb == "QUIT":
            return
        if (verb in _LAST_IN_GROUP or not facts.esmtp) and self._more_is_there():
            facts.pipelined_after = verb

    def _more_is_there(self) -> bool:
        if self.intake.has_bytes:
            return True
        socket = None if self.transport is None else self.transport.get_extra_info("socket")
        return socket is not None and socket.fileno() >= 0 and bytes_waiting(socket.fileno())

    def eof_received(self) -> bool | None:
        """The client sends no more; in plaintext it may still read, so what runs goes on to its reply."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and so is the handler; one that shakes hands is about to learn why that failed."""
        if self._shaking_hands:
            asyncio.StreamReaderProtocol.connection_lost(self, error)
        else:
            super().connection_lost(error)

    async def secure(self, ready: Reply | None = None) -> None:
        """Shake hands. ready: the answer to STARTTLS. Raises Closed if it fails."""
        plain = self.transport
        assert plain is not None and self.services.tls_context is not None
        cast(asyncio.Transport, plain).pause_reading()
        received = self.intake.take_all()
        if ready is not None:
            # RFC 3207 §6: plaintext that was sent ahead must not be taken for part of the session in TLS.
            received = b""
            self.answer("STARTTLS", ready)
            await self.flush()
        self._shaking_hands = True
        try:
            secured = await start_tls(
                plain,
                self,
                self.services.tls_context(self._certificates != "none"),
                received=received,
                ended=self.intake.at_eof(),
                timeout=min(HANDSHAKE_TIMEOUT, self._timeout_duration),
            )
        except HandshakeError as error:
            self.reception.handshake_failed(str(error))
            raise Closed from None
        finally:
            self._shaking_hands = False
        self.transport = secured
        self._writer._transport = secured  # type: ignore[attr-defined]
        self._over_ssl = True
        self.intake.moved_to(secured)
        facts = await tls_facts(secured)
        self.reception.secured(facts)
        refusal = lacks_certificate(facts) if self._certificates == "require" else None
        if refusal is not None:
            if ready is not None:
                await self._line()  # the client speaks first after STARTTLS
            await self.close_with("handshake", refusal)

    # --- replies

    def answer(self, command: str, reply: Reply) -> None:
        """Queue a reply; a refusal gets the record's reference and is kept in the record."""
        self.conduct.answered(reply)
        if reply.is_positive:
            self._replies.append(reply.line().encode() + b"\r\n")
        else:
            self.reception.note(command, reply)
            self._replies.append(reply.line(self.reception.ref).encode() + b"\r\n")

    def answer_raw(self, lines: bytes) -> None:
        """Queue a reply that is written out already."""
        self._replies.append(lines)

    def refuse_share(self, command: str, refusal: Reply | None) -> bool:
        """Answer the client if its network has had its share; whether it had."""
        if refusal is None:
            return False
        if self.reception.tx is None or not self.reception.tx.recipients:
            self.reception.gives_up(refusal)
        self.answer(command, refusal)
        return True

    async def flush(self) -> None:
        """Write the queued replies in one go."""
        if self._replies:
            data = b"".join(self._replies)
            self._replies.clear()
            self._writer.write(data)
            self._waiting_since = self.loop.time()
            await self._writer.drain()
            self._waiting_since = None

    async def close_with(self, command: str, reply: Reply) -> NoReturn:
        """Say why and end the session."""
        if not reply.is_positive:
            self.reception.gives_up(reply)
        self.answer(command, reply)
        await self.flush()
        raise Closed

    # --- waiting for the client, bounded in time

    async def _line(self) -> bytes | None:
        if self.conduct.leads_nowhere:
            await self.close_with("time-out", NOTHING_DELIVERED)
        room = self.services.room
        if self.reception.tx is None and self.conduct.guest is not None:
            room.idle(self)
        self._between_commands = True
        self._waiting_since = self.loop.time()
        if room.stress:
            self.hurry()
        line = await self.intake.line()
        self._waiting_since = None
        self._between_commands = False
        room.busy(self)
        return line

    async def data(self) -> bytes:
        """The next bytes of DATA. Raises Closed if the client is gone."""
        return await self._read(CHUNK)

    async def chunk(self) -> bytes:
        """The next bytes of what BDAT announced, never more. Raises Closed if the client is gone."""
        if not self.intake.has_bytes:
            await self.flush()
        data = await self._read(min(CHUNK, self.chunk_left))
        self.chunk_left -= len(data)
        return data

    async def _read(self, size: int) -> bytes:
        clock = self.services.monotonic
        since, self._waiting_since = clock(), self.loop.time()
        data = await self.intake.read(size)
        self._waiting_since = None
        if not data:
            raise Closed
        if not self.conduct.keeps_up(len(data), clock() - since):
            await self.close_with("slow message", TOO_SLOW)
        return data

    def _reset_timeout(self, duration: float | None = None) -> None:
        # One timer for the whole session, moved on only when it fires.
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(duration or self._timeout_duration, self._timeout_cb)

    def _timeout_cb(self) -> None:
        if self.transport is not None and self.transport.is_closing():  # it does not even read our last words
            self.abort()
            return
        waiting = 0.0 if self._waiting_since is None else self.loop.time() - self._waiting_since
        allowed = self.conduct.timeout
        if waiting < allowed:
            self._timeout_handle = self.loop.call_later(allowed - waiting, self._timeout_cb)
        else:
            self._hang_up("time-out", TIMED_OUT)

    def hurry(self) -> None:
        """Sessions are running out: the timer must not wait for its usual time."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
            self._timeout_cb()

    def make_room(self) -> None:
        """Another client needs the place of this one, which is idle."""
        self._hang_up("idle", TOO_MANY_SESSIONS)

    def shut_down(self) -> None:
        """The server stops: between transactions the client is told at once, otherwise after its transaction."""
        if self._shaking_hands:
            self.abort()
        elif self._between_commands and self.reception.tx is None:
            self._hang_up("shutdown", SHUTTING_DOWN)

    def abort(self) -> None:
        """Cut the connection off."""
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    def _hang_up(self, command: str, reply: Reply) -> None:
        """End the session from outside its handler, which waits for the client and ends with the connection."""
        if self.transport is None or self.transport.is_closing():
            return
        self.reception.gives_up(reply)
        self.answer(command, reply)
        self._writer.write(b"".join(self._replies))
        self.transport.close()
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(min(_LAST_WORDS, self._timeout_duration), self._timeout_cb)


def _peer(transport: asyncio.BaseTransport | None) -> tuple[IPAddress, int]:
    name = transport.get_extra_info("peername") if transport is not None else None
    if not name:  # gone before it was served
        return ipaddress.IPv4Address(0), 0
    return unmapped(ipaddress.ip_address(name[0].partition("%")[0])), name[1]


def _shown(line: bytes | None) -> str:
    """The beginning of a command that could not be carried out, for the record."""
    return "(too long)" if line is None else line[:60].decode("ascii", "backslashreplace").rstrip()
