"""The TLS handshake: after STARTTLS, or as the first thing on a listener with implicit TLS."""

import asyncio
import ssl
from typing import Literal, cast

from smtpgate.phases.facts import TlsFacts
from smtpgate.phases.reply import Reply
from smtpgate.smtp.client_certificates import ClientAuthorities, shown_chain

TlsMode = Literal["none", "starttls", "implicit"]
# Whether clients are asked for certificates (Postfix: smtpd_tls_ask_ccert, smtpd_tls_req_ccert).
CertificateMode = Literal["none", "ask", "require"]

NO_CERTIFICATE = Reply(421, "7.1", "Error: No client certificate presented")
NOT_TRUSTED = Reply(421, "7.1", "Error: Client certificate not trusted")

# A client may take this long for its handshake, in seconds; its session waits no longer than for a command.
HANDSHAKE_TIMEOUT = 30.0
# How long it may take to say good-bye (close_notify), in seconds.
_SHUTDOWN_TIMEOUT = 5.0


class HandshakeError(Exception):
    """The handshake failed; the text says why, for the record. The connection is closed."""


class ServerContext(ssl.SSLContext):
    """A context that knows who may vouch for clients; None if they are not asked for certificates."""

    authorities: ClientAuthorities | None = None


class NamedSSLObject(ssl.SSLObject):
    """One side of a TLS connection that remembers which name the client asked for."""

    sni: str | None = None


def remember_name(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    """An SSLContext's sni_callback; its sslobject_class is NamedSSLObject."""
    cast(NamedSSLObject, connection).sni = name


async def start_tls(
    transport: asyncio.BaseTransport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    received: bytes,
    ended: bool,
    timeout: float,
) -> asyncio.Transport:
    """Shake hands as the server; returns the transport that the protocol goes on with. Raises HandshakeError.

    received, ended: what came from the client for its handshake and was read already. The transport is paused.
    """
    loop = asyncio.get_running_loop()
    plain = cast(asyncio.Transport, transport)
    shaking = asyncio.ensure_future(
        loop.start_tls(
            plain,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=timeout,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
    )
    await asyncio.sleep(0)
    # Its first step put the TLS layer into place, and has it connected before anything is read from the socket.
    layer = plain.get_protocol()
    if plain.is_closing():  # before it was there: nobody would tell it, and it would wait for ever
        loop.call_soon(layer.connection_lost, None)
    else:
        loop.call_soon(_feed, layer, received, ended)
    try:
        secured = await shaking
    except ConnectionAbortedError:
        raise HandshakeError(f"not finished within {timeout:g} s") from None
    except ssl.SSLError as error:
        raise HandshakeError((error.reason or "protocol error").replace("_", " ").lower()) from None
    except OSError:
        raise HandshakeError("the client hung up") from None
    if secured is None or secured.is_closing():  # asyncio and uvloop are silent about a connection lost just now
        raise HandshakeError("the connection was lost")
    return secured


def _feed(tls: asyncio.BaseProtocol, received: bytes, ended: bool) -> None:
    """Give the TLS layer what was read before it was there."""
    layer = cast(asyncio.BufferedProtocol, tls)
    while received:
        buffer = memoryview(layer.get_buffer(len(received)))
        piece = received[: len(buffer)]
        buffer[: len(piece)] = piece
        layer.buffer_updated(len(piece))
        received = received[len(piece) :]
    if ended:
        layer.eof_received()


async def tls_facts(transport: asyncio.BaseTransport) -> TlsFacts:
    """What protects a transport after its handshake, and who the client is by its certificate."""
    connection = transport.get_extra_info("ssl_object")
    cipher, _, bits = connection.cipher()
    authorities = connection.context.authorities
    chain = shown_chain(connection) if authorities else []
    shown = await asyncio.to_thread(authorities.examine, chain) if chain else None
    return TlsFacts(connection.version(), cipher, bits, connection.sni, shown)


def lacks_certificate(tls: TlsFacts) -> Reply | None:
    """Why a client may not stay where a certificate is required; None if it may."""
    if tls.client_certificate is None:
        return NO_CERTIFICATE
    return None if tls.client_certificate.verified else NOT_TRUSTED
