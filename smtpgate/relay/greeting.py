"""From an address to a connection that takes mail: connect, TLS, EHLO, login."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable

from smtpgate.relay.connection import Connection
from smtpgate.relay.downstream import DownstreamUnavailable
from smtpgate.relay.replies import WireReply
from smtpgate.relay.security import Login, Security
from smtpgate.relay.url import DownstreamUrl
from smtpgate.system_error import in_words

# RFC 4954 §4: an initial response that does not fit into a command line must not be sent with AUTH.
_LONGEST_COMMAND = 512


async def connect(
    url: DownstreamUrl,
    *,
    hostname: str,
    security: Security,
    connect_timeout: float,
    timeout: float,
    on_closed: Callable[[Connection], None],
) -> Connection:
    """Open a connection and greet. Raises DownstreamUnavailable.

    hostname: what we say in EHLO. connect_timeout: seconds for everything up to the answer to EHLO, or to AUTH.
    timeout: seconds for each later reply.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(connect_timeout):
            connection = await _open(url, security, lambda: Connection(timeout, on_closed))
            await _greet(connection, url, hostname, security)
    except BaseException as error:
        reason = _reason(error, url, connect_timeout)
        if connection is not None:
            connection.fail(reason or DownstreamUnavailable("given up"))
        if reason is None:
            raise
        raise reason from None
    return connection


def _reason(error: BaseException, url: DownstreamUrl, connect_timeout: float) -> DownstreamUnavailable | None:
    """Why there is no connection; None if it is not the downstream's doing."""
    match error:
        case DownstreamUnavailable():
            return error
        case TimeoutError():
            return DownstreamUnavailable(f"no greeting from {url} within {connect_timeout:g} s")
        case ssl.SSLError():
            return DownstreamUnavailable(f"no TLS with {url}: {getattr(error, 'verify_message', '') or error.reason}")
        case OSError():
            return DownstreamUnavailable(f"cannot connect to {url}: {in_words(error)}")
    return None


async def _open(url: DownstreamUrl, security: Security, protocol: Callable[[], Connection]) -> Connection:
    loop = asyncio.get_running_loop()
    if url.scheme == "lmtp+unix":
        _, connection = await loop.create_unix_connection(protocol, url.path)
    elif security.tls == "implicit":
        context, name = security.context, url.host
        _, connection = await loop.create_connection(protocol, url.host, url.port, ssl=context, server_hostname=name)
    else:
        _, connection = await loop.create_connection(protocol, url.host, url.port)
    return connection


async def _greet(connection: Connection, url: DownstreamUrl, hostname: str, security: Security) -> None:
    greeting = await connection.reply()
    if greeting.code != 220:
        raise DownstreamUnavailable(f"downstream greets with {greeting}")
    await _hello(connection, hostname, lmtp=url.is_lmtp)
    if security.tls == "starttls":
        await _start_tls(connection, url, security)
        # RFC 3207 §4.2: what was said before is forgotten.
        await _hello(connection, hostname, lmtp=url.is_lmtp)
    if security.login is not None:
        await _log_in(connection, security.login)


async def _hello(connection: Connection, hostname: str, *, lmtp: bool) -> None:
    name = hostname.encode("ascii")
    connection.send((b"LHLO " if lmtp else b"EHLO ") + name + b"\r\n")
    offer = await connection.wire_reply()
    if offer.code == 250:
        take_offer(offer, connection)
    elif lmtp or offer.code < 500:
        raise DownstreamUnavailable(f"downstream answers {'LHLO' if lmtp else 'EHLO'} with {offer.joined}")
    else:
        # RFC 5321 §3.2: an old server knows only HELO.
        answer = await connection.command(b"HELO " + name + b"\r\n")
        if answer.code != 250:
            raise DownstreamUnavailable(f"downstream answers HELO with {answer}")


def take_offer(offer: WireReply, connection: Connection) -> None:
    """Note what the positive answer to EHLO or LHLO offers."""
    lines = [line.partition(" ") for line in offer.lines[1:]]
    connection.extensions = {keyword.upper(): parameters for keyword, _, parameters in lines}


async def _start_tls(connection: Connection, url: DownstreamUrl, security: Security) -> None:
    """Required is required: whoever takes the offer out of EHLO's answer gets no mail at all."""
    if "STARTTLS" not in connection.extensions:
        raise DownstreamUnavailable("downstream does not offer STARTTLS, without which it gets no mail")
    reply = await connection.command(b"STARTTLS\r\n")
    if reply.code != 220:
        raise DownstreamUnavailable(f"downstream answers STARTTLS with {reply}")
    assert security.context is not None
    await connection.start_tls(security.context, url.host)


async def _log_in(connection: Connection, login: Login) -> None:
    """AUTH by a password (RFC 4954; LOGIN for servers that know nothing else)."""
    mechanisms = connection.extensions.get("AUTH", "").upper().split()
    username, password = login.username.encode(), login.password.encode()
    if "PLAIN" in mechanisms:
        # RFC 4616 §2
        response = b64encode(b"\0" + username + b"\0" + password)
        steps = [b"AUTH PLAIN " + response]
        if len(steps[0]) + 2 > _LONGEST_COMMAND:
            steps = [b"AUTH PLAIN", response]
    elif "LOGIN" in mechanisms:
        steps = [b"AUTH LOGIN", b64encode(username), b64encode(password)]
    else:
        raise DownstreamUnavailable("downstream offers neither AUTH PLAIN nor AUTH LOGIN")
    for number, step in enumerate(steps, 1):
        reply = await connection.command(step + b"\r\n")
        if reply.code != (235 if number == len(steps) else 334):
            # Without its text: nobody knows what a server repeats there.
            raise DownstreamUnavailable(f"downstream refuses our login: {reply.code} {reply.enhanced or ''}".rstrip())
