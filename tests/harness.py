"""The whole dialog on a real loopback socket, with a fake DNS, greylist and downstream behind it."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.phases.asking import Limits
from smtpgate.phases.context import Context
from smtpgate.phases.engine import Engine
from smtpgate.quarantine import Quarantine
from smtpgate.record import Record
from smtpgate.server.tls import ServerTls
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.peers import TrustedPeers
from smtpgate.smtp.services import Services
from smtpgate.smtp.tls import CertificateMode, TlsMode
from smtpgate.spool import Spool
from smtpgate.store.entries import StoredTables
from smtpgate.values import network
from smtpgate.verify.downstream import DownstreamProbe
from smtpgate.verify.remembering import RememberingVerifier
from tests.certificates import NAME
from tests.fake_store import FakeDelivered, FakeGreylist, FakeVerified
from tests.fakes import Clock, FakeDns, FakeDownstream
from tests.listening import stop_listening
from tests.loops import PATIENCE

PLAIN = """
[phases]
rcpt = ["permit_mynetworks", "reject_unauth_destination"]
"""
_BASE = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "smtp://127.0.0.1:10025"
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
"""


@dataclass
class Gate:
    """A running server and what stands behind it."""

    port: int
    services: Services
    downstream: FakeDownstream
    dns: FakeDns
    clock: Clock
    records: list[Record] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(self, *, local: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator["Client"]:
        """A connected client; its banner is not read yet. tls: it shakes hands at once."""
        name = NAME if tls else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(local, 0), ssl=tls, server_hostname=name
        )
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.close()

    async def settled(self) -> list[Record]:
        """The records of all sessions, when every session has ended."""
        async with asyncio.timeout(PATIENCE):
            for connection in list(self.services.connections):
                await asyncio.wait([connection.serving])
            await self.services.drain()
        return self.records


class Client:
    """A client that sends what it is told and waits for replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def over(cls, sock: socket.socket, tls: ssl.SSLContext | None = None) -> "Client":
        """A client on a socket that is connected already. tls: it shakes hands at once."""
        sock.setblocking(False)
        return cls(*await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=NAME if tls else None))

    async def line(self) -> str:
        """One line with its line end; "" when the server closed."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readline()).decode()

    async def send(self, *lines: str | bytes) -> None:
        """Send lines in one piece; text gets CRLF, bytes go out as they are."""
        data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def reply(self) -> str:
        """One reply, its lines joined by LF; "" when the server closed."""
        lines: list[str] = []
        while True:
            line = await self.line()
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def ask(self, *lines: str | bytes) -> str:
        """Send, and wait for one reply."""
        await self.send(*lines)
        return await self.reply()

    async def greet(self) -> str:
        """The banner, and EHLO's reply."""
        await self.reply()
        return await self.ask("EHLO client.example.net")

    async def shake_hands(self, tls: ssl.SSLContext) -> None:
        """What follows the answer to STARTTLS. Raises ssl.SSLError or ConnectionError."""
        async with asyncio.timeout(PATIENCE):
            await self.writer.start_tls(tls, server_hostname=NAME)

    async def start_tls(self, tls: ssl.SSLContext) -> str:
        """STARTTLS and the handshake; returns EHLO's reply in TLS."""
        assert (await self.ask("STARTTLS")).startswith("220 2.0.0 ")
        await self.shake_hands(tls)
        return await self.ask("EHLO client.example.net")

    async def deliver(self, sender: str, recipients: Sequence[str], content: bytes) -> list[str]:
        """One transaction; the replies to MAIL, each RCPT, DATA and the final dot, as far as it got."""
        replies = [await self.ask(f"MAIL FROM:<{sender}>")]
        replies += [await self.ask(f"RCPT TO:<{recipient}>") for recipient in recipients]
        replies.append(await self.ask("DATA"))
        if replies[-1].startswith("354"):
            replies.append(await self.ask(content + b".\r\n"))
        return replies

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    config: str = PLAIN,
    *,
    dns: Any = None,
    downstream: FakeDownstream | None = None,
    greylist: Any = None,
    delivered: Any = None,
    limits: DialogLimits | None = None,
    lines: LinePolicy | None = None,
    engine_limits: Limits | None = None,
    spool: Spool | None = None,
    tls: TlsMode = "none",
    tables: StoredTables | None = None,
    quarantine: Quarantine | None = None,
    certificates: CertificateMode = "none",
    server_tls: ServerTls | None = None,
    proxies: Sequence[str] = (),
    dialog: type[Dialog] = Dialog,
    address: str = "127.0.0.1",
) -> AsyncIterator[Gate]:
    """Serve on a free loopback port. config: TOML; [server] keys may stand at its start, sections behind.

    proxies: the networks from which a PROXY header is required.
    """
    settings = load(_BASE + config, REGISTRY)
    networks = [network(text) for text in proxies]
    clock = Clock()
    dns = FakeDns() if dns is None else dns
    downstream = downstream or FakeDownstream()
    context = Context(
        dns=dns,
        lists=DnsLists(dns),
        greylist=greylist or FakeGreylist(),
        clock=clock,
        hostname=settings.server.hostname,
        mynetworks=settings.server.mynetworks,
        relay_domains=settings.server.relay_domains,
        recipients=settings.server.recipients,
        recipient_delimiter=settings.server.recipient_delimiter,
        verify_recipient=RememberingVerifier("recipient", DownstreamProbe(downstream, "mx"), FakeVerified(), clock),
        tables=tables,
    )
    engine = Engine(
        settings.phases,
        context,
        delay_reject=settings.server.delay_reject,
        policies=settings.policies,
        limits=engine_limits,
    )
    records: list[Record] = []
    services = Services(
        settings.server.hostname,
        engine,
        downstream,
        delivered or FakeDelivered(),
        records.append,
        clock,
        spool or Spool(tempfile.gettempdir()),
        limits or DialogLimits(),
        lines or LinePolicy(),
        monotonic=clock,
        mynetworks=settings.server.mynetworks,
        peers=TrustedPeers(settings.server.xclient_peers, settings.server.xforward_peers, networks),
        quarantine=quarantine or Quarantine(tempfile.gettempdir() + "/nowhere"),
    )
    services.tls_context = server_tls.context if server_tls else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: dialog(services, "test", loop=loop, tls=tls, certificates=certificates, proxies=networks),
        address,
        0,
    )
    gate = Gate(server.sockets[0].getsockname()[1], services, downstream, dns, clock, records)
    try:
        yield gate
    finally:
        await stop_listening(server)
        for connection in list(services.connections):
            connection.abort()
        await gate.settled()
