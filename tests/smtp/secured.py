"""Clients in TLS, and just before it."""

import contextlib
import ssl
from collections.abc import AsyncIterator

from smtpgate.record import Record
from smtpgate.smtp.tls import TlsMode
from tests.certificates import NAME, Certificate
from tests.harness import Client, Gate
from tests.smtp.talking import BODY

MODES: list[TlsMode] = ["starttls", "implicit"]


@contextlib.asynccontextmanager
async def secured(gate: Gate, mode: TlsMode, context: ssl.SSLContext) -> AsyncIterator[Client]:
    """A client in TLS that said EHLO."""
    if mode == "implicit":
        async with gate.client(tls=context) as client:
            await client.greet()
            yield client
    else:
        async with gate.client() as client:
            await client.greet()
            await client.start_tls(context)
            yield client


@contextlib.asynccontextmanager
async def before_handshake(gate: Gate, mode: TlsMode) -> AsyncIterator[Client]:
    """A client whose next bytes the server takes for its handshake."""
    async with gate.client() as client:
        if mode == "starttls":
            await client.greet()
            assert (await client.ask("STARTTLS")).startswith("220 ")
        yield client


def client_hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a handshake."""
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def only(records: list[Record]) -> Record:
    [record] = records
    return record


async def still_serves(gate: Gate, mode: TlsMode, certificate: Certificate) -> None:
    async with secured(gate, mode, certificate.client_context()) as client:
        assert (await client.deliver("a@example.net", ["b@example.org"], BODY))[-1].startswith("250 ")
