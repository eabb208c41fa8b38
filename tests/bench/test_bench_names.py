"""The DNS server of the measurements: its world hangs together, as smtpgate's resolver sees it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from bench.name_server import SENDER_SPF, NameServer
from smtpgate.dns.resolver import Mx, RecordType, Status
from smtpgate.dns.stub import StubResolver
from smtpgate.values import Endpoint
from tests.loops import on_both_loops

LISTED = (IPv4Address("127.0.0.2"),)
KEY = b"p=" + b"x" * 300


@contextmanager
def resolver(delay: float = 0.0) -> Iterator[StubResolver]:
    """It asks a name server of the bench's, which runs while the block does."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    server = NameServer(sock, delay, {"sel._domainkey.signer.example": KEY})
    stub = StubResolver([Endpoint(*sock.getsockname())], 5.0)
    try:
        yield stub
    finally:
        stub.close()
        server.close()


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("33.2.1.127.in-addr.arpa", "PTR", ("h1-2-33.hosts.example",)),
        ("h1-2-33.hosts.example", "A", (IPv4Address("127.1.2.33"),)),
        ("h1-2-33.hosts.example", "AAAA", Status.NO_DATA),
        ("d1099511627775.senders.example", "MX", (Mx(10, "mx.senders.example"),)),
        ("d1.senders.example", "TXT", (SENDER_SPF,)),
        ("_spf.senders.example", "TXT", (b"v=spf1 ip4:127.0.0.0/8 -all",)),
        ("mx.senders.example", "A", Status.NO_NAME),
        ("sel._domainkey.signer.example", "TXT", (KEY,)),
        ("30.2.1.127.zen.spamhaus.org", "A", LISTED),
        ("33.2.1.127.zen.spamhaus.org", "A", Status.NO_NAME),
        ("30.2.1.127.list1.example", "A", Status.NO_NAME),
        ("2.0.0.127.list1.example", "A", LISTED),
        ("2.0.0.127.zen.spamhaus.org", "A", LISTED),
        ("2.0.0.127.other.example", "A", Status.NO_NAME),
    ],
)
async def test_the_world(name: str, kind: RecordType, found: object):
    with resolver() as stub:
        answer = await stub.query(name, kind)
    assert found == (answer.records or answer.status)


@on_both_loops
async def test_many_ask_at_one_moment_and_each_waits_as_long():
    delay = 0.05
    loop = asyncio.get_running_loop()
    with resolver(delay) as stub:
        asked = loop.time()
        answers = await asyncio.gather(*(stub.query(f"h1-2-{z}.hosts.example", "A") for z in range(1, 100)))
        # uvloop counts whole milliseconds.
        assert loop.time() - asked >= delay - 0.002
    assert [answer.records for answer in answers] == [(IPv4Address(f"127.1.2.{z}"),) for z in range(1, 100)]
