"""The connection: the one place where aiosmtpd's SMTP class is subclassed. Bytes in, bytes out, TLS, and their pace.

What is replaced, and why:
- the constructor, which looks up every method by reflection for each connection;
- connection_made, which makes a stream reader, a stream writer, a session and an envelope that nobody here would use;
- connection_lost, which leaves neither a failed handshake the time to be told about nor a hand-over that to end;
- eof_received, which cancels the running handler, so that a half-close would kill a relay in flight;
- the loop, which has no place for the CLIENT phase, limits nothing and has no enhanced codes (conversation.py);
- the timer, which cuts slow handlers and slow DATA without a 421 (exchange.py);
- exception handling, which puts exception text on the wire (conversation.py);
- STARTTLS, which needs the insides of asyncio's TLS and gives it a context once and for all.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TypeVar, cast

from aiosmtpd.smtp import SMTP

from smtpgate.smtp.intake import Intake, bytes_waiting
from smtpgate.smtp.services import Services
from smtpgate.smtp.tls import HANDSHAKE_TIMEOUT, CertificateMode, TlsMode, start_tls
from smtpgate.values import IPAddress, Network, unmapped

T = TypeVar("T")


class Connection(SMTP):
    """One client's connection. What is said on it is in the subclasses (exchange.py, conversation.py, dialog.py).

    serving: the task of the whole session. is_slow_reader: too much is on its way to the client.
    """

    # Whatever has no slot stands in a dictionary that each connection has for itself: kilobytes for an idle client.
    __slots__ = (
        "_can_write", "_certificates", "_is_finishing", "_listener", "_proxies", "_shaking_hands", "_timeout_handle",
        "_waiting_since", "hostname", "intake", "is_slow_reader", "loop", "services", "serving", "tls_mode",
        "transport",
    )  # fmt: skip

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
        self.services = services
        self.loop = loop
        self.hostname = services.hostname
        self.intake = Intake(loop)
        self.tls_mode = tls
        self.transport: asyncio.Transport | None = None
        self._certificates = certificates
        self._listener = listener
        self._proxies = proxies
        self.serving: asyncio.Task[None]
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._waiting_since: float | None = None
        self._shaking_hands = False
        self._is_finishing = False
        self.is_slow_reader = False
        self._can_write: asyncio.Future[None] | None = None

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self.intake.connected(self.transport)
        self._reset_timeout()
        self.serving = self.loop.create_task(self._handle_client())

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        self.intake.feed(data)

    def eof_received(self) -> bool | None:
        """The client sends no more; in plaintext it may still read, so what runs goes on to its reply."""
        self.intake.end()
        # asyncio.Protocol: with TLS the connection is closed, whatever is returned; True would be warned about.
        plaintext = self.transport is not None and self.transport.get_extra_info("sslcontext") is None
        return plaintext and not self._shaking_hands

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and so is the handler, unless it is about to finish something.

        One that shakes hands is about to learn why that failed.
        """
        self.intake.end()
        self.resume_writing()
        if self._shaking_hands:
            return
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self.transport = None
        if not self._is_finishing:
            self.serving.cancel()

    def pause_writing(self) -> None:
        """The client does not read what it is sent."""
        self.is_slow_reader = True

    def resume_writing(self) -> None:
        """It has read it."""
        self.is_slow_reader = False
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)

    # --- what the subclasses call

    @property
    def is_open(self) -> bool:
        """Whether replies can still reach the client."""
        return self.transport is not None and not self.transport.is_closing()

    async def caught_up(self) -> None:
        """Wait until the client is no slow reader any more."""
        self._waiting_since = self.loop.time()
        self._can_write = self.loop.create_future()
        try:
            await self._can_write
        finally:
            self._can_write = self._waiting_since = None

    async def finish(self, work: Awaitable[T]) -> T:
        """Do something to its end, whether or not the client is still there. Raises ConnectionError if it is not."""
        self._is_finishing = True
        self.services.background.add(self.serving)
        try:
            result = await work
        finally:
            self._is_finishing = False
            self.services.background.discard(self.serving)
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        return result

    def close_after(self, last_words: bytes) -> None:
        """Send and close."""
        assert self.transport is not None
        self.transport.write(last_words)
        self.transport.close()

    def abort(self) -> None:
        """Cut the connection off."""
        if self.transport is not None:
            self.transport.abort()

    def peer(self) -> tuple[IPAddress, int]:
        """The other side's address and port."""
        name = None if self.transport is None else self.transport.get_extra_info("peername")
        if not name:  # gone before it was served
            return ipaddress.IPv4Address(0), 0
        return _address(name[0]), name[1]

    def more_is_there(self) -> bool:
        """Whether the client has sent something that was not read yet, be it still in the kernel."""
        if self.intake.unread:
            return True
        if not self.is_open or self.transport is None:
            return False
        socket = self.transport.get_extra_info("socket")
        return socket is not None and bytes_waiting(socket.fileno())

    def hold_back(self) -> bytes:
        """Read no more before the handshake; what was read already."""
        if self.transport is not None:
            self.transport.pause_reading()
        return self.intake.take_all()

    async def shake_hands(self, received: bytes) -> asyncio.Transport:
        """Go on in TLS. received: what came for it already. Raises HandshakeError."""
        assert self.transport is not None and self.services.tls_context is not None
        self._shaking_hands = True
        try:
            secured = await start_tls(
                self.transport,
                self,
                self.services.tls_context(self._certificates != "none"),
                received=received,
                ended=self.intake.at_eof,
                timeout=min(HANDSHAKE_TIMEOUT, self.services.limits.command_timeout),
            )
        finally:
            self._shaking_hands = False
        self.transport = secured
        self.intake.moved_to(secured)
        return secured


@lru_cache(maxsize=1024)
def _address(host: str) -> IPAddress:
    """An address as the system writes it, without its zone; those who come back are known."""
    host = host.partition("%")[0]
    return unmapped(ipaddress.ip_address(inet_pton(AF_INET6 if ":" in host else AF_INET, host)))
