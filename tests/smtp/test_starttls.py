"""Sessions in TLS: on asyncio's event loop and on the server's own."""

import asyncio
import re
import ssl
from pathlib import Path

import pytest

from smtpgate.server.tls import ServerTls
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.tls import TlsMode
from tests.certificates import NAME, Certificate, issue
from tests.fakes import FakeDownstream
from tests.harness import Client, serving
from tests.loops import on_both_loops, until
from tests.smtp.secured import MODES, before_handshake, only, secured, still_serves
from tests.smtp.talking import BODY, assert_serves, reset

GREETING = "EHLO client.example.net"


def offers(reply: str) -> set[str]:
    return {line[4:].split()[0] for line in reply.split("\n")[1:]} & {"STARTTLS", "REQUIRETLS"}


@pytest.mark.parametrize("requiretls", [False, True])
@on_both_loops
async def test_what_is_offered(requiretls: bool, certificate: Certificate) -> None:
    context, tls = certificate.client_context(), ServerTls(certificate.settings())
    in_tls = {"REQUIRETLS"} if requiretls else set()
    downstream = FakeDownstream(requiretls=requiretls)
    async with serving(downstream=downstream, tls="starttls", server_tls=tls) as gate, gate.client() as client:
        assert offers(await client.greet()) == {"STARTTLS"}
        assert offers(await client.start_tls(context)) == in_tls
    async with (
        serving(downstream=downstream, tls="implicit", server_tls=tls) as gate,
        gate.client(tls=context) as client,
    ):
        assert offers(await client.greet()) == in_tls
    async with serving(downstream=downstream) as gate, gate.client() as client:
        assert offers(await client.greet()) == set()


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_the_record_and_received_tell(mode: TlsMode, certificate: Certificate) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with secured(gate, mode, certificate.client_context()) as client:
            replies = await client.deliver("me@example.net", ["you@example.org"], BODY)
            assert replies[-1].startswith("250 ")
        record = only(await gate.settled())
        assert record.tls == {
            "version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "bits": 256, "sni": NAME,
            "client_certificate": None,
        }  # fmt: skip
        assert re.search(
            rb" with ESMTPS id \w{8}\r\n\t\(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256\)\r\n\tfor ",
            gate.downstream.messages[0].content,
        )


@on_both_loops
async def test_protocol_names_in_received(certificate: Certificate) -> None:
    """RFC 3848, RFC 6531 §4.3; nothing was ever registered for HELO in TLS."""
    async with serving(tls="implicit", server_tls=ServerTls(certificate.settings())) as gate:
        async with gate.client(tls=certificate.client_context()) as client:
            await client.reply()
            for greeting, options in (("HELO a", ""), ("EHLO a", ""), ("EHLO a", " SMTPUTF8")):
                await client.ask(greeting)
                await client.ask(f"MAIL FROM:<me@example.net>{options}")
                await client.ask("RCPT TO:<you@example.org>")
                await client.ask("DATA")
                await client.ask(BODY + b".\r\n")
        names = [re.search(rb" with (\w+) id ", message.content)[1] for message in gate.downstream.messages]  # type: ignore[index]
        assert names == [b"SMTP", b"ESMTPS", b"UTF8SMTPS"]


@on_both_loops
async def test_requiretls_is_passed_on(certificate: Certificate) -> None:
    downstream = FakeDownstream(requiretls=True)
    tls = ServerTls(certificate.settings())
    async with serving(downstream=downstream, tls="implicit", server_tls=tls) as gate:
        async with secured(gate, "implicit", certificate.client_context()) as client:
            for option in ("", " REQUIRETLS"):
                await client.ask(f"MAIL FROM:<me@example.net>{option}")
                await client.ask("RCPT TO:<you@example.org>")
                await client.ask("DATA")
                await client.ask(BODY + b".\r\n")
        assert [message.envelope.requiretls for message in downstream.messages] == [False, True]


ENDS = ["close_notify", "fin", "rst"]


def hang_up(client: Client, how: str) -> None:
    """End the connection; only close_notify tells that it is meant."""
    if how == "close_notify":
        client.writer.close()
    elif how == "rst":
        reset(client)
    else:
        client.writer.transport.abort()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("command", ["DATA", "BDAT 1000 LAST"])
@on_both_loops
async def test_tls_ends_inside_of_a_message(mode: TlsMode, how: str, command: str, certificate: Certificate) -> None:
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with secured(gate, mode, certificate.client_context()) as client:
            await client.ask("MAIL FROM:<me@example.net>")
            await client.ask("RCPT TO:<you@example.org>")
            await client.send(command)
            if command == "DATA":
                await client.reply()
            await client.send(b"Subject: unfinished\r\n\r\nIt ends here\r\n")
            hang_up(client, how)
        record = only(await gate.settled())
        assert gate.downstream.messages == []
        assert record.outcome == "abandoned"
        assert gate.services.memory.held == 0
        await still_serves(gate, mode, certificate)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ENDS)
@on_both_loops
async def test_tls_ends_after_the_final_dot(mode: TlsMode, how: str, certificate: Certificate) -> None:
    """From the hand-over on nothing cancels it."""
    go_on = asyncio.Event()
    downstream = FakeDownstream(gate=go_on)
    async with serving(downstream=downstream, tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with secured(gate, mode, certificate.client_context()) as client:
            await client.ask("MAIL FROM:<me@example.net>")
            await client.ask("RCPT TO:<you@example.org>")
            await client.ask("DATA")
            await client.send(BODY + b".\r\n")
            await downstream.delivering.wait()
            hang_up(client, how)
            (connection,) = gate.services.connections
            await until(lambda: connection.transport is None)
        go_on.set()
        assert only(await gate.settled()).outcome == "accepted"
        assert len(downstream.messages) == 1


@pytest.mark.parametrize("mode", MODES)
@on_both_loops
async def test_a_large_message_arrives_as_it_was(mode: TlsMode, certificate: Certificate) -> None:
    content = BODY + b"".join(b"%08d and what fills the line up.\r\n" % number for number in range(60_000))
    async with serving(tls=mode, server_tls=ServerTls(certificate.settings())) as gate:
        async with secured(gate, mode, certificate.client_context()) as client:
            replies = await client.deliver("me@example.net", ["you@example.org"], content)
            assert replies[-1].startswith("250 ")
        assert gate.downstream.messages[0].content.endswith(content)


@on_both_loops
async def test_the_time_out_says_why(certificate: Certificate) -> None:
    async with serving(tls="implicit", server_tls=ServerTls(certificate.settings())) as gate:
        async with gate.client(tls=certificate.client_context()) as client:
            await client.reply()
            [session] = gate.services.connections
            session.conduct._limits = DialogLimits(command_timeout=0.01)
            session.hurry()
            assert (await client.reply()).startswith("421 4.4.2 ")
            assert await client.reply() == ""
        await gate.settled()
        assert not gate.services.connections


@on_both_loops
async def test_another_session_in_plaintext_is_not_disturbed(certificate: Certificate) -> None:
    async with serving(tls="starttls", server_tls=ServerTls(certificate.settings())) as gate:
        async with gate.client() as plain, secured(gate, "starttls", certificate.client_context()):
            await plain.greet()
            async with before_handshake(gate, "starttls") as broken:
                await broken.send(b"no handshake\r\n")
                await broken.reader.read()
            assert (await plain.deliver("me@example.net", ["you@example.org"], BODY))[-1].startswith("250 ")
        await assert_serves(gate)


@on_both_loops
async def test_a_new_certificate_is_for_new_sessions(tmp_path: Path) -> None:
    first = issue(tmp_path)
    old = first.client_context()
    server_tls = ServerTls(first.settings())
    async with serving(tls="starttls", server_tls=server_tls) as gate, secured(gate, "starttls", old) as begun:
        new = issue(tmp_path).client_context()
        await server_tls.refresh()
        async with secured(gate, "starttls", new) as client:
            assert (await client.ask("NOOP")).startswith("250 ")
        assert (await begun.ask("NOOP")).startswith("250 ")
        with pytest.raises(ssl.SSLCertVerificationError):
            async with secured(gate, "starttls", old):
                pass
