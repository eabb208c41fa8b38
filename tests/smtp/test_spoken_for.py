"""Clients that a trusted server speaks for: what the rules, the record, the header and the limits make of them."""

import asyncio
import ipaddress

import pytest

from smtpgate.cli.story import tell
from smtpgate.record import Record, story
from smtpgate.server.tls import ServerTls
from smtpgate.smtp.command import CommandError
from smtpgate.smtp.forwarded import XClient, parse_xclient, parse_xforward
from smtpgate.smtp.limits import DialogLimits
from tests.certificates import Certificate
from tests.harness import PLAIN, serving
from tests.loops import let_pass, until
from tests.smtp.talking import BODY

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
PROXIES = ["127.0.0.0/8"]
PEERS = 'xclient_peers = ["127.0.0.1"]\nxforward_peers = ["127.0.0.1"]\n' + PLAIN


def via(record: Record) -> list[tuple[str, str]]:
    return [(hop["by"], hop.get("address") or hop["failed"]) for hop in record.via]


async def test_the_proxy_client_is_in_record_received_and_story() -> None:
    async with serving(proxies=PROXIES) as gate, gate.client() as client:
        await client.send(HEADER)
        await client.greet()
        assert (await client.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
        [record] = gate.records
        assert (record.client, via(record)) == ("192.0.2.7", [("PROXY v1", "127.0.0.1")])
        assert b"Received: from client.example.net ([192.0.2.7])" in gate.downstream.messages[0].content
        assert "192.0.2.7 connected to test, says 127.0.0.1 (PROXY v1)" in tell(story(record.text()))


async def test_the_header_may_come_octet_by_octet() -> None:
    async with serving(proxies=PROXIES) as gate, gate.client() as client:
        for octet in HEADER:
            await client.send(bytes([octet]))
            await asyncio.sleep(0)
        assert (await client.reply()).startswith("220 ")


@pytest.mark.parametrize(
    ("sent", "why"), [(b"PROXY TCP4 x\r\n", "version 1: syntax error"), (HEADER[:9], "not complete within 5 s")]
)
async def test_without_a_header_there_is_no_session(sent: bytes, why: str) -> None:
    async with serving(proxies=PROXIES) as gate, gate.client() as client:
        await client.send(sent)
        if sent == HEADER[:9]:
            await until(lambda: any(connection.more_is_there() for connection in gate.services.connections))
            await let_pass(5)
        assert (await client.reply()).startswith("421 4.3.2 ")
        assert await client.reply() == ""
        [record] = await gate.settled()
        assert via(record) == [("PROXY protocol", why)]
        assert (record.client, record.outcome, record.decided_by) == ("127.0.0.1", "deferred", "smtpgate")
        assert f"did not say for whom: PROXY protocol: {why}" in tell(story(record.text()))


async def test_a_header_that_ends_in_the_middle() -> None:
    async with serving(proxies=PROXIES) as gate, gate.client() as client:
        await client.send(HEADER[:20])
        client.writer.write_eof()
        assert (await client.reply()).startswith("421 4.3.2 ")
        [record] = await gate.settled()
        assert via(record) == [("PROXY protocol", "the connection ended inside of it")]


async def test_a_proxy_that_only_knocks_leaves_no_record() -> None:
    async with serving(proxies=PROXIES) as gate:
        async with gate.client() as client:
            client.writer.write_eof()
            assert await client.reply() == ""
        assert await gate.settled() == []


async def test_strangers_get_no_words_where_tls_comes_first(certificate: Certificate) -> None:
    tls = ServerTls(certificate.settings())
    async with serving(proxies=["192.0.2.1"], tls="implicit", server_tls=tls) as gate, gate.client() as client:
        assert await client.reply() == ""
        [record] = await gate.settled()
        assert (record.outcome, record.tls) == ("deferred", {"failed": "not begun: not through a proxy"})


async def test_the_limits_hold_for_the_client_and_not_for_its_proxy() -> None:
    limits = DialogLimits(client_connections=1)
    async with serving(proxies=PROXIES, limits=limits) as gate:
        async with gate.client() as first, gate.client() as second, gate.client() as third:
            await first.send(HEADER)
            assert (await first.reply()).startswith("220 ")
            await second.send(HEADER)
            assert (await second.reply()).startswith("421 4.7.0 ")
            await third.send(HEADER.replace(b"192.0.2.7", b"192.0.2.8"))
            assert (await third.reply()).startswith("220 ")
        await gate.settled()
        assert gate.services.clients.guest(ipaddress.ip_address("192.0.2.7")).refusal is None


async def test_the_greet_pause_is_for_the_client() -> None:
    limits = DialogLimits(greet_pause=3600)
    async with serving(proxies=PROXIES, limits=limits) as gate, gate.client() as client:
        await client.send(HEADER)
        await client.send("EHLO client.example.net")
        assert (await client.reply()).startswith("220 ")
        await client.reply()
        await client.close()
        assert [entry.command for entry in (await gate.settled())[-1].replies] == [
            "before the banner: EHLO client.example.net"
        ]


async def test_xclient_is_in_record_received_and_story() -> None:
    async with serving(PEERS) as gate, gate.client() as client:
        assert "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in await client.greet()
        told = "XCLIENT NAME=client.example.net ADDR=192.0.2.7 PORT=4711 LOGIN=me+2Byou@example.net"
        assert (await client.ask(told)).startswith("220 ")
        assert "XCLIENT" in await client.ask("EHLO c.example.net")
        await client.deliver("me@example.net", ["you@example.org"], BODY)
        assert (await client.ask("XCLIENT NAME=[TEMPUNAVAIL] ADDR=192.0.2.8")).startswith("220 ")
        await client.ask("HELO d.example.net")
        await client.deliver("me@example.net", ["you@example.org"], BODY)
        first, second = gate.records
        assert [(r.client, r.helo) for r in gate.records] == [
            ("192.0.2.7", "c.example.net"),
            ("192.0.2.8", "d.example.net"),
        ]
        assert via(first) == via(second) == [("XCLIENT", "127.0.0.1")]
        assert b"from c.example.net ([192.0.2.7])" in gate.downstream.messages[0].content
        hop = "says 127.0.0.1 (XCLIENT, name client.example.net, logged in as me+you@example.net)"
        assert hop in tell(story(first.text()))


async def test_xclient_through_a_proxy() -> None:
    """Trust goes to whom the proxy speaks for."""
    for peer, code in (("192.0.2.7", "220"), ("192.0.2.8", "550")):
        config = f'xclient_peers = ["{peer}"]\n{PLAIN}'
        async with serving(config, proxies=PROXIES) as gate, gate.client() as client:
            await client.send(HEADER)
            await client.greet()
            assert (await client.ask("XCLIENT ADDR=203.0.113.5")).startswith(code)


async def test_xclient_keeps_tls(certificate: Certificate) -> None:
    tls = ServerTls(certificate.settings())
    async with serving(PEERS, tls="starttls", server_tls=tls) as gate, gate.client() as client:
        await client.greet()
        await client.start_tls(certificate.client_context())
        assert (await client.ask("XCLIENT ADDR=192.0.2.7")).startswith("220 ")
        assert "STARTTLS" not in await client.ask("EHLO c.example.net")
        await client.deliver("me@example.net", ["you@example.org"], BODY)
        assert gate.records[0].tls is not None


async def test_a_client_with_too_many_connections_is_refused_by_xclient_too() -> None:
    limits = DialogLimits(client_connections=1)
    async with serving(PEERS, limits=limits) as gate, gate.client() as first, gate.client() as second:
        for client, code in ((first, "220"), (second, "421 4.7.0")):
            await client.greet()
            assert (await client.ask("XCLIENT ADDR=192.0.2.7")).startswith(code)
        assert await second.reply() == ""


async def test_xforward_is_for_the_next_message_alone() -> None:
    async with serving(PEERS) as gate, gate.client() as client:
        assert "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" in await client.greet()
        await client.ask("XFORWARD NAME=client.example.net ADDR=192.0.2.7")
        await client.ask("XFORWARD HELO=helo.example.net PORT=[UNAVAILABLE]")
        for _ in range(2):
            await client.deliver("me@example.net", ["you@example.org"], BODY)
        first, second = gate.records
        assert first.forwarded == {
            "NAME": "client.example.net", "ADDR": "192.0.2.7", "HELO": "helo.example.net", "PORT": ""
        }  # fmt: skip
        assert first.client == "127.0.0.1"
        assert second.forwarded is None
        told = "on its way from NAME=client.example.net ADDR=192.0.2.7 HELO=helo.example.net (XFORWARD)"
        assert told in tell(story(first.text()))


WRONG_XCLIENT = [
    "ADDR", "ADDR=", "ADDR=192.0.2.256", "ADDR=2001:db8::7", "ADDR=IPV6:192.0.2.7", "ADDR=[192.0.2.7]",
    "ADDR=[UNAVAILABLE]", "PORT=65536", "PORT=x", "PORT=-1", "PROTO=LMTP", "NAME=a..b", "NAME=a_b.example+20",
    "HELO=a+00", "HELO=" + "x" * 256, "HELO=+4", "HELO=ä", "DESTADDR=x", "DESTPORT=x", "SOURCE=REMOTE",
]  # fmt: skip


@pytest.mark.parametrize("argument", WRONG_XCLIENT)
def test_wrong_xclient(argument: str) -> None:
    with pytest.raises(CommandError) as error:
        parse_xclient(argument)
    assert error.value.reply.code == 501


def test_what_xclient_says() -> None:
    assert parse_xclient(
        "NAME=[unavailable] PORT=[UNAVAILABLE] PROTO=esmtp helo=a+3Db=c LOGIN=[UNAVAILABLE]"
    ) == XClient(name="", port=0, esmtp=True, helo="a=b=c", login="")
    address = parse_xclient("ADDR=ipv6:::ffff:192.0.2.7").address
    assert str(address) == "192.0.2.7"


def test_what_xforward_says() -> None:
    assert parse_xforward("ADDR=some-uucp-host source=LOCAL IDENT=[UNAVAILABLE]") == {
        "ADDR": "some-uucp-host", "SOURCE": "LOCAL", "IDENT": ""
    }  # fmt: skip


async def test_the_downstream_is_told() -> None:
    """Of the session's client, by the record's reference; and of whom the client forwarded for, if it said so."""
    async with serving(PEERS) as gate, gate.client() as client:
        await client.greet()
        await client.ask("XCLIENT NAME=c.example.net ADDR=IPV6:2001:db8::7 PORT=4711")
        await client.ask("HELO helo.example.net")
        await client.ask("XFORWARD ADDR=192.0.2.9")
        for _ in range(2):
            await client.deliver("me@example.net", ["you@example.org"], BODY)
        first, second = [message.envelope for message in gate.downstream.messages]
        assert first.client == {
            "NAME": "c.example.net", "ADDR": "IPV6:2001:db8::7", "PORT": "4711", "PROTO": "SMTP",
            "HELO": "helo.example.net", "IDENT": gate.records[0].ref, "SOURCE": "REMOTE",
        }  # fmt: skip
        assert first.forwarded == {"ADDR": "192.0.2.9"}
        assert second.forwarded is None
