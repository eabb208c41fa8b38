"""Handshakes that go wrong: on asyncio's event loop and on the server's own."""

import asyncio
import contextlib
import ssl
import warnings

import pytest

from smtpgate.server.tls import ServerTls
from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.tls import TlsMode
from tests.certificates import NAME, Certificate
from tests.harness import PATIENCE, Client, serving
from tests.loops import on_both_loops, until
from tests.smtp.secured import MODES, before_handshake, client_hello, only, secured, still_serves
from tests.smtp.talking import BODY, reset

GARBAGE = {
    "http": (b"GET / HTTP/1.0\r\n\r\n", "http request"),
    "smtp": (b"EHLO client.example.net\r\n", None),
    "noise": (bytes(range(256)) * 4, None),
    "much noise": (b"\x16\x03\x01" + b"\xff" * 600_000, None),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("garbage", GARBAGE)
@on_both_loops
async def test_garbage_instead_of_a_handshake(mode: TlsMode, garbage: str, certificate: Certificate) -> None:
    data, said = GARBAGE[garbage]
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with before_handshake(gate, mode) as client:
            with contextlib.suppress(ConnectionError):
                await client.send(data)
                await client.reader.read()
        record = only(await gate.settled())
        assert record.tls is not None
        assert record.tls["failed"] == said if said else record.tls["failed"]
        assert record.outcome == "abandoned"
        assert not gate.services.connections
        await still_serves(gate, mode, certificate)


def old_client(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("minimum", "version", "welcome"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_1, False),
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
@on_both_loops
async def test_versions(
    mode: TlsMode, minimum: str, version: ssl.TLSVersion, welcome: bool, certificate: Certificate
) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings(minimum))) as gate:
        if welcome:
            async with secured(gate, mode, old_client(version)) as client:
                assert (await client.ask("NOOP")).startswith("250 ")
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with secured(gate, mode, old_client(version)):
                    pass
            assert only(await gate.settled()).tls == {"failed": "unsupported protocol"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begun", [False, True])
@on_both_loops
async def test_a_handshake_that_never_ends(mode: TlsMode, begun: bool, certificate: Certificate) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        soon = DialogLimits(command_timeout=0.1)  # for the handshake alone: nothing before it must be in time
        if mode == "implicit":
            gate.services.limits = soon
        async with gate.client() as client:
            if mode == "starttls":
                await client.greet()
                gate.services.limits = soon
                assert (await client.ask("STARTTLS")).startswith("220 ")
            with contextlib.suppress(ConnectionError):  # it may be over by now
                if begun:
                    await client.send(client_hello(certificate.client_context())[:50])
                assert await client.reply() == ""
        assert only(await gate.settled()).tls == {"failed": "not finished within 0.1 s"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize("sent", [0, 50, None], ids=["at once", "in ClientHello", "after ClientHello"])
@on_both_loops
async def test_the_client_hangs_up_in_the_handshake(
    mode: TlsMode, how: str, sent: int | None, certificate: Certificate
) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with before_handshake(gate, mode) as client:
            await client.send(client_hello(certificate.client_context())[:sent])
            if how == "rst":
                reset(client)
            elif how == "half-close":
                client.writer.write_eof()
                await client.reader.read()
        records = await gate.settled()
        if how != "rst":  # who is reset at once may be gone before the server knew of it
            assert only(records).tls == {"failed": "the client hung up"}
        assert not gate.services.connections
        await still_serves(gate, mode, certificate)


class LostJustNow(Dialog):
    """A connection that is gone when its handshake begins, of which the event loop has not told yet."""

    async def shake_hands(self, received: bytes) -> asyncio.Transport:
        self.abort()
        return await super().shake_hands(received)


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_a_connection_that_is_lost_before_the_handshake(mode: TlsMode, certificate: Certificate) -> None:
    tls = ServerTls(certificate.settings())
    async with serving(tls=mode, server_tls=tls, dialog=LostJustNow) as gate:
        async with gate.client() as client:
            with contextlib.suppress(ConnectionError):
                await client.send("EHLO client.example.net", "STARTTLS")
                await client.reader.read()
        assert only(await gate.settled()).tls == {"failed": "the connection was lost"}
        assert not gate.services.connections


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_the_end_comes_together_with_the_handshakes_last_bytes(
    mode: TlsMode, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """As from `openssl s_client </dev/null`. The log hears nothing: any stranger could fill it."""
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with before_handshake(gate, mode) as client:
            received, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = certificate.client_context().wrap_bio(received, out, server_hostname=NAME)
            await shake_hands(tls, received, out, client)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.unwrap()
            await client.send(out.read())
            client.writer.write_eof()
            await client.reader.read()
        await gate.settled()
        assert not gate.services.connections
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_a_stop_does_not_wait_for_handshakes(mode: TlsMode, certificate: Certificate) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with before_handshake(gate, mode) as client:
            await until(lambda: any(connection._shaking_hands for connection in gate.services.connections))
            gate.services.closing = True
            for connection in list(gate.services.connections):
                connection.shut_down()
            with contextlib.suppress(ConnectionError):
                assert await client.reader.read() == b""
        assert only(await gate.settled()).tls == {"failed": "the connection was lost"}


@on_both_loops
async def test_too_many_sessions_for_implicit_tls(certificate: Certificate) -> None:
    """There is no room for a handshake either: the connection is closed, and the record knows."""
    tls = ServerTls(certificate.settings())
    async with serving(tls="implicit", server_tls=tls, limits=DialogLimits(sessions=1)) as gate:
        async with secured(gate, "implicit", certificate.client_context()):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with gate.client(tls=certificate.client_context()):
                    pass
        record = only(await gate.settled())
        assert record.tls == {"failed": "not begun: too many connections"}
        assert (record.outcome, record.decided_by) == ("deferred", "smtpgate")


FLOOD = BODY + b"More than the server buffers, sent at once.\r\n" * 15_000
# In one piece with what goes before it, as CHUNKING allows.
FLOOD_AND_ENVELOPE = (
    b"EHLO client.example.net\r\nMAIL FROM:<me@example.net>\r\nRCPT TO:<you@example.org>\r\n"
    b"BDAT %d LAST\r\n%sQUIT\r\n" % (len(FLOOD), FLOOD)
)


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_a_flood_behind_the_handshake(mode: TlsMode, certificate: Certificate) -> None:
    """The client is slowed down, and what it sent is taken in whole."""
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with before_handshake(gate, mode) as client, asyncio.timeout(PATIENCE):
            await client.shake_hands(certificate.client_context())
            sending = asyncio.create_task(client.send(FLOOD_AND_ENVELOPE))
            assert (await client.reader.read()).endswith(b"\r\n221 2.0.0 Bye\r\n")
            await sending
        assert gate.downstream.messages[0].content.endswith(FLOOD)


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_a_flood_in_the_last_flight_of_the_handshake(mode: TlsMode, certificate: Certificate) -> None:
    """The same, before the server has moved over to TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = certificate.client_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    tls = ServerTls(certificate.settings())
    async with serving(tls=mode, server_tls=tls) as gate, before_handshake(gate, mode) as client:
        async with asyncio.timeout(PATIENCE):
            await shake_hands(connection, incoming, outgoing, client)
            connection.write(FLOOD_AND_ENVELOPE)
            sending = asyncio.create_task(client.send(outgoing.read()))
            replies = b""
            while not replies.endswith(b"\r\n221 2.0.0 Bye\r\n"):
                try:
                    replies += connection.read(65536)
                except ssl.SSLWantReadError:
                    incoming.write(await client.reader.read(65536))
            await sending
        assert gate.downstream.messages[0].content.endswith(FLOOD)


@on_both_loops
async def test_a_proxy_header_in_one_piece_with_the_handshake(certificate: Certificate) -> None:
    """What came behind the header and was read with it belongs to the handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = certificate.client_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    tls = ServerTls(certificate.settings())
    async with serving(tls="implicit", server_tls=tls, proxies=["127.0.0.1"]) as gate, gate.client() as client:
        async with asyncio.timeout(PATIENCE):
            header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n"
            await shake_hands(connection, incoming, outgoing, client, header)
            await client.send(outgoing.read())
            await until(lambda: all(session.facts.tls is not None for session in gate.services.connections))
        [session] = gate.services.connections
        assert str(session.facts.client_address) == "192.0.2.7"


async def shake_hands(
    connection: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, client: Client, ahead: bytes = b""
) -> None:
    """All but the last flight, which is in `outgoing`. ahead: goes out in one piece with the first."""
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            await client.send(ahead + outgoing.read())
            ahead = b""
            incoming.write(await client.reader.read(65536))
        else:
            return
