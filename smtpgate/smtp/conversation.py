"""The conversation on one connection, first word to last: who is let in, and the loop that reads commands."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, NoReturn

from smtpgate.phases.asking import INTERNAL_ERROR
from smtpgate.phases.facts import Session, TlsFacts, Via
from smtpgate.phases.reply import Reply
from smtpgate.smtp.command import LONGEST_LINE, CommandError, parse_chunk, parse_command
from smtpgate.smtp.conduct import Conduct
from smtpgate.smtp.content import TOO_LARGE
from smtpgate.smtp.exchange import LAST_WORDS, SHUTTING_DOWN, TOO_MANY_SESSIONS, Closed, Exchange
from smtpgate.smtp.foreign import NOT_SMTP, foreign_protocol
from smtpgate.smtp.proxy_protocol import ProxyError
from smtpgate.smtp.reception import Reception
from smtpgate.smtp.tls import HandshakeError, lacks_certificate, tls_facts
from smtpgate.values import is_in

log = logging.getLogger(__name__)

NOT_RECOGNIZED = Reply(500, "5.2", "Error: command not recognized")
NO_PROXY = Reply(421, "3.2", "Connections must come through our proxy, and say from where")
TOO_MANY_ERRORS = Reply(421, "7.0", "Too many errors")
TALKED_EARLY = Reply(521, "5.1", "Protocol error: input before the banner")
GREETED_ALL_THE_SAME = Reply(220, "0.0", "Banner")
ACCESS_DENIED = Reply(503, "7.0", "Error: access denied")

# RFC 2920 §3.1: these must be the last command of a pipelined group.
_LAST_IN_GROUP = frozenset({"HELO", "EHLO", "DATA", "NOOP", "VRFY", "EXPN", "HELP", "STARTTLS", "AUTH"})

# After so many commands in one go the client gets its replies, and others have their turn: a long internationalised
# domain takes a millisecond.
_TURN = 20

# The largest chunk that is read only to be dropped, as a multiple of the largest message.
_DROPPED_AT_MOST = 4

# How long a proxy may take to say who the client is, in seconds; its TCP may need 3 to repeat it.
_PROXY_HEADER_WITHIN = 5.0


class Conversation(Exchange):
    """One client's connection, and what is said on it. The commands are in the subclass (dialog.py)."""

    __slots__ = ("_refusal",)

    VERBS: ClassVar[dict[str, Callable[..., Awaitable[None]]]] = {}

    _refusal: Reply | None  # at the banner

    # --- from the first to the last word

    async def _handle_client(self) -> None:
        """aiosmtpd's entry point, run as a task for each connection."""
        services = self.services
        services.connections.add(self)
        self._begin(Session(*self.peer(), self._listener))
        try:
            if self._proxies:
                await self._meet_client()
            await self._serve()
        except (Closed, ConnectionError, EOFError):
            pass
        except Exception:
            log.exception("session with %s failed", self.facts.client_address)
            with contextlib.suppress(ConnectionError):
                self.answer("session", Reply(421, "3.0", INTERNAL_ERROR.text))
                await self.flush()
        finally:
            services.connections.discard(self)
            services.room.leave(self)
            self._end()
            self._leave()

    def _begin(self, session: Session) -> None:
        session.local = None if self.transport is None else self.transport.get_extra_info("sockname")
        self.facts = session
        self.reception = Reception(session, self.services)
        self.conduct = Conduct(self.reception, self.services)

    def _end(self) -> None:
        self.conduct.close()
        self.reception.close()

    def _leave(self) -> None:
        """Close, and do not wait for ever until the client has read the last replies or shaken hands."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        if self.transport is None:
            return
        if self.facts.tls is not None or self.transport.get_write_buffer_size():
            self._timeout_handle = self.loop.call_later(LAST_WORDS, self.abort)
        self.transport.close()

    async def _meet_client(self) -> None:
        """Have the proxy say who the client is. Raises Closed."""
        proxy = self.facts
        if not is_in(proxy.client_address, self._proxies):
            await self._turn_away(NO_PROXY, "not through a proxy")
        try:
            within = min(_PROXY_HEADER_WITHIN, self.services.limits.command_timeout)
            header = await self.intake.proxy_header(within)
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

    async def _admit(self) -> None:
        """Make room, and a secure way. Raises Closed."""
        refusal = self._no_room()
        if refusal is not None:
            await self._turn_away(refusal, "too many connections")
        if self.tls_mode == "implicit":
            await self._demand_certificate(await self._secure(self.hold_back()))

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

    async def start_tls(self, ready: Reply) -> None:
        """Answer STARTTLS and shake hands. Raises Closed if that fails."""
        # RFC 3207 §6: plaintext that was sent ahead must not be taken for part of the session in TLS.
        self.hold_back()
        self.answer("STARTTLS", ready)
        await self.flush()
        facts = await self._secure(b"")
        if self._certificates == "require" and lacks_certificate(facts) is not None:
            await self.wait_for_line()  # the client speaks first after STARTTLS
        await self._demand_certificate(facts)

    async def _demand_certificate(self, facts: TlsFacts) -> None:
        """Send away who has none, or a wrong one, where one is required. Raises Closed."""
        refusal = lacks_certificate(facts) if self._certificates == "require" else None
        if refusal is not None:
            await self.close_with("handshake", refusal)

    async def _secure(self, received: bytes) -> TlsFacts:
        try:
            secured = await self.shake_hands(received)
        except HandshakeError as error:
            self.reception.handshake_failed(str(error))
            raise Closed from None
        facts = await tls_facts(secured)
        self.reception.secured(facts)
        return facts

    # --- the loop

    async def _serve(self) -> None:
        await self._admit()
        refusal = await self.reception.connect()
        await self._pause()
        self._welcome(refusal)
        in_a_row = 0
        while not self.goes:
            if self.services.closing and self.reception.tx is None:
                await self.close_with("shutdown", SHUTTING_DOWN)
            line = self.intake.next_line()
            if line is None:
                line, in_a_row = await self.wait_for_line(), 0
            elif (in_a_row := in_a_row + 1) % _TURN == 0:
                await self.flush()
                await asyncio.sleep(0)
            mistakes = self.conduct.mistakes
            try:
                verb, argument = parse_command(line)
                if verb == "BDAT":
                    await self._expect_chunk(argument)
                handler = self.VERBS.get(verb)
                if handler is None:
                    raise CommandError(NOT_RECOGNIZED)
                # RFC 5321 §3.1: whoever was refused at the banner may only QUIT, or go on with another client.
                if self._refusal is not None and verb not in ("QUIT", "XCLIENT"):
                    raise CommandError(ACCESS_DENIED)
                if self.intake.unread:
                    self._watch_pipelining(verb)
                self.conduct.command(verb)
                await handler(self, argument)
            except CommandError as error:
                await self._misunderstood(line, error.reply)
            # RFC 3030 §2: after an error the chunk is still accepted, and dropped, before the reply goes out.
            while self.chunk_left:
                await self.receive_chunk(_drop)
            if self.conduct.mistakes > mistakes:
                await self._judge()
        await self.flush()

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
        self.facts.early_talker = self.more_is_there()
        if not self.facts.early_talker:
            if not self.intake.at_eof:
                self.conduct.waited_for_banner()
            return
        said = f"before the banner: {_shown(self.intake.unread[:60])}"
        if self.conduct.talked_early():
            await self.close_with(said, TALKED_EARLY)
        self.reception.note(said, GREETED_ALL_THE_SAME)

    async def _misunderstood(self, line: bytes, reply: Reply) -> None:
        """Answer a command that the client got wrong; whoever speaks another protocol has to go."""
        if foreign_protocol(line) is not None:
            self.reception.gives_up(NOT_SMTP)
            self.reception.note(_shown(line), NOT_SMTP)
            await self.close_with(_shown(line), NOT_SMTP)
        self.answer(_shown(line), reply)

    async def _judge(self) -> None:
        """Who made one more mistake waits for the reply, or has to go (Postfix: smtpd_error_sleep_time)."""
        if self.conduct.is_unbearable:
            await self.close_with("errors", TOO_MANY_ERRORS)
        if self.conduct.delay:
            await asyncio.sleep(self.conduct.delay)

    async def _expect_chunk(self, argument: str) -> None:
        """Note how many octets follow BDAT: whatever becomes of the command, they are never taken for commands."""
        try:
            size, _ = parse_chunk(argument)
        except CommandError as error:
            # Nobody knows where the next command begins: like Postfix, hang up.
            await self.close_with("BDAT", error.reply)
        if size > _DROPPED_AT_MOST * self.services.limits.message_size:
            await self.close_with("BDAT", TOO_LARGE)
        self.chunk_left = size

    def _watch_pipelining(self, verb: str) -> None:
        """More was sent behind this command: note it if there was no leave to.

        RFC 2920 §3.1; Postfix: reject_unauth_pipelining.
        """
        facts = self.facts
        if facts.pipelined_after is None and verb != "QUIT" and (verb in _LAST_IN_GROUP or not facts.esmtp):
            facts.pipelined_after = verb


def _drop(data: bytes) -> bool:
    """Takes what nobody wants."""
    return True


def _shown(line: bytes) -> str:
    """The beginning of a command that could not be carried out, for the record."""
    return "(too long)" if len(line) > LONGEST_LINE else line[:60].decode("ascii", "backslashreplace").rstrip()
