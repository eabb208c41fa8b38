"""Certificates of clients: whoever is asked may stay, whatever it shows; what it showed is known."""

import contextlib
import dataclasses
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from smtpgate.phases.facts import ClientCertificate
from smtpgate.server.tls import ServerTls
from smtpgate.smtp.client_certificates import ClientAuthorities
from smtpgate.smtp.tls import CertificateMode, TlsMode
from tests.certificates import Authority, Certificate, issue
from tests.harness import Client, Gate, serving
from tests.loops import on_both_loops
from tests.smtp.talking import BODY

MODES: list[TlsMode] = ["starttls", "implicit"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def asking(certificate: Certificate, authority: Authority) -> ServerTls:
    settings = dataclasses.replace(certificate.settings(), client_ca=str(authority.file))
    return ServerTls(settings, asks=True)


def fingerprint(certificate: Certificate) -> str:
    found = x509.load_pem_x509_certificates(certificate.certificate.read_bytes())[0]
    return found.fingerprint(hashes.SHA256()).hex(":").upper()


@contextlib.asynccontextmanager
async def connected(gate: Gate, mode: TlsMode, context: ssl.SSLContext) -> AsyncIterator[tuple[Client, str]]:
    """A client in TLS and the answer to its EHLO, or what it got instead of the banner."""
    async with gate.client(tls=context if mode == "implicit" else None) as client:
        first = await client.reply()
        if mode == "starttls":
            await client.ask("EHLO client.example.net")
            await client.ask("STARTTLS")
            await client.shake_hands(context)
        elif not first.startswith("220 "):
            yield client, first
            return
        yield client, await client.ask("EHLO client.example.net")


def nothing(authority: Authority, directory: Path) -> None:
    return None


def signed(authority: Authority, directory: Path) -> Certificate:
    return authority.sign("client.example.net")


def for_clients(authority: Authority, directory: Path) -> Certificate:
    return authority.sign("client.example.net", usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def through_another(authority: Authority, directory: Path) -> Certificate:
    return authority.sign("client.example.net", through="Between")


def by_itself(authority: Authority, directory: Path) -> Certificate:
    (directory / "own").mkdir()
    return issue(directory / "own", "client.example.net")


def for_servers(authority: Authority, directory: Path) -> Certificate:
    return authority.sign("client.example.net", usage=ExtendedKeyUsageOID.SERVER_AUTH)


def expired(authority: Authority, directory: Path) -> Certificate:
    return authority.sign("client.example.net", days=(-2, -1))


def by_a_stranger(authority: Authority, directory: Path) -> Certificate:
    """The same name, another key."""
    (directory / "other").mkdir()
    return Authority(directory / "other").sign("client.example.net")


Shown = Callable[[Authority, Path], Certificate | None]
VERIFIED: list[Shown] = [signed, for_clients, through_another]
NOT_VERIFIED: list[tuple[Shown, str]] = [
    (by_itself, "validation failed: candidates exhausted"),
    (for_servers, "validation failed: .*it is not for clients"),
    (expired, "validation failed: cert is not valid at validation time"),
    (by_a_stranger, "validation failed: candidates exhausted"),
]
NAMED = {shown.__name__: shown for shown in (nothing, *VERIFIED, *(shown for shown, _ in NOT_VERIFIED))}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", NAMED)
@on_both_loops
async def test_whoever_is_asked_may_stay(
    shown: str, version: ssl.TLSVersion, mode: TlsMode, asking: ServerTls, authority: Authority,
    certificate: Certificate, tmp_path: Path,
) -> None:  # fmt: skip
    showing = NAMED[shown](authority, tmp_path)
    context = certificate.client_context(showing)
    context.minimum_version = context.maximum_version = version
    async with serving(tls=mode, certificates="ask", server_tls=asking) as gate:
        async with connected(gate, mode, context) as (client, _):
            replies = await client.deliver("me@example.net", ["you@example.org"], BODY)
            assert replies[-1].startswith("250 ")
        [record] = await gate.settled()
        assert record.tls is not None
        found = record.tls["client_certificate"]
        [message] = gate.downstream.messages
        received = re.search(rb"bits=\d+\)\r\n(?:\t(\(Client .*)\r\n)?\tfor ", message.content)
        assert received is not None
        if showing is None:
            assert (found, received[1]) == (None, None)
            return
        issuer = {"by_itself": "client.example.net", "through_another": "Between"}.get(shown, "Test CA")
        verified = NAMED[shown] in VERIFIED
        assert (found["subject"], found["issuer"]) == ("client.example.net", issuer)
        assert found["fingerprint"] == fingerprint(showing)
        assert found["verified"] == verified
        assert bool(found["problem"]) != verified
        told = "verified OK" if verified else "not verified"
        assert received[1].decode() == f'(Client CN "client.example.net", Issuer "{issuer}" ({told}))'


@pytest.mark.parametrize(("shown", "said"), [pytest.param(*case, id=case[0].__name__) for case in NOT_VERIFIED])
def test_why_it_is_not_verified(shown: Shown, said: str, authority: Authority, tmp_path: Path) -> None:
    found = examine(shown(authority, tmp_path), authority)
    assert not found.verified
    assert re.match(said, found.problem), found.problem


def examine(showing: Certificate | None, authority: Authority) -> ClientCertificate:
    assert showing is not None
    trusted = x509.load_pem_x509_certificates(authority.file.read_bytes())
    return ClientAuthorities(trusted).examine(chain(showing))


def chain(showing: Certificate) -> list[bytes]:
    return [
        found.public_bytes(Encoding.DER) for found in x509.load_pem_x509_certificates(showing.certificate.read_bytes())
    ]


def test_fingerprints(authority: Authority, tmp_path: Path) -> None:
    """As `openssl x509 -fingerprint -sha256` tells them, and `openssl pkey -pubin -outform DER | openssl dgst`."""
    showing = authority.sign("client.example.net")
    found = examine(showing, authority)
    key = x509.load_pem_x509_certificate(showing.certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert found.fingerprint == fingerprint(showing)
    assert found.key_fingerprint == digest.finalize().hex(":").upper()


def test_an_authority_between_that_is_none(authority: Authority) -> None:
    """A client that signs another certificate with its own is no authority."""
    showing = authority.sign("evil.example.net", through="Between")
    first, between = chain(showing)
    assert (
        ClientAuthorities(x509.load_pem_x509_certificates(authority.file.read_bytes()))
        .examine([first, between])
        .verified
    )
    client = authority.sign("client.example.net")
    assert not examine_with([first, *chain(client)], authority).verified


def examine_with(shown: list[bytes], authority: Authority) -> ClientCertificate:
    return ClientAuthorities(x509.load_pem_x509_certificates(authority.file.read_bytes())).examine(shown)


def test_nobody_is_trusted(authority: Authority) -> None:
    found = ClientAuthorities().examine(chain(authority.sign("client.example.net")))
    assert (found.subject, found.verified) == ("client.example.net", False)
    assert found.problem == "nobody is trusted to sign clients' certificates (client_ca)"


def test_what_cannot_be_read() -> None:
    found = ClientAuthorities().examine([b"\x30\x03\x02\x01\x00"])
    assert (found.subject, found.issuer, found.key_fingerprint, found.verified) == ("", "", "", False)
    assert found.problem.startswith("it cannot be read: ")
    assert len(found.fingerprint) == 95


def test_a_version_that_there_never_was_cannot_be_read_either(authority: Authority) -> None:
    first, *others = chain(authority.sign("client.example.net"))
    odd = first.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)  # RFC 5280 §4.1.2.1: v3 is 2
    assert examine_with([odd, *others], authority).problem.startswith("it cannot be read: ")
    assert not examine_with([first, odd], authority).verified


def test_names_that_would_be_more_than_names(authority: Authority) -> None:
    found = examine(authority.sign('a"\r\nX: (b\\'), authority)
    assert found.subject == 'a"??X: (b\\'


@on_both_loops
async def test_names_in_received(asking: ServerTls, authority: Authority, certificate: Certificate) -> None:
    context = certificate.client_context(authority.sign('a" (verified OK)\\é'))
    async with serving(tls="implicit", certificates="ask", server_tls=asking) as gate:
        async with connected(gate, "implicit", context) as (client, _):
            await client.deliver("me@example.net", ["you@example.org"], BODY)
        assert (
            b'\t(Client CN "a? ?verified OK???", Issuer "Test CA" (verified OK))\r\n'
            in gate.downstream.messages[0].content
        )


REQUIRED: list[tuple[str, str]] = [
    ("signed", "250-mx.example.org"),
    ("nothing", "421 4.7.1 Error: No client certificate presented (ref "),
    ("by_itself", "421 4.7.1 Error: Client certificate not trusted (ref "),
    ("expired", "421 4.7.1 Error: Client certificate not trusted (ref "),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("shown", "answer"), REQUIRED)
@on_both_loops
async def test_where_one_is_required(
    shown: str, answer: str, mode: TlsMode, asking: ServerTls, authority: Authority, certificate: Certificate,
    tmp_path: Path,
) -> None:  # fmt: skip
    context = certificate.client_context(NAMED[shown](authority, tmp_path))
    async with serving(tls=mode, certificates="require", server_tls=asking) as gate:
        async with connected(gate, mode, context) as (client, reply):
            assert reply.startswith(answer)
            if answer.startswith("421"):
                assert await client.line() == ""
        if answer.startswith("421"):
            [record] = await gate.settled()
            assert record.outcome == "deferred"
            assert record.tls is not None
            assert (record.tls["client_certificate"] is None) == (shown == "nothing")


@on_both_loops
async def test_plaintext_where_one_is_required(asking: ServerTls) -> None:
    async with serving(tls="starttls", certificates="require", server_tls=asking) as gate, gate.client() as client:
        await client.greet()
        reply = await client.ask("MAIL FROM:<me@example.net>")
        assert reply.startswith("530 5.7.0 Must issue a STARTTLS command first (ref ")


@pytest.mark.parametrize("mode", ["none", "ask"])
@on_both_loops
async def test_a_session_is_not_resumed_where_clients_are_asked(
    mode: CertificateMode, asking: ServerTls, certificate: Certificate
) -> None:
    """What it showed would have to be kept, for as long as it likes to come back."""
    context = certificate.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with (
        serving(tls="implicit", certificates=mode, server_tls=asking) as gate,
        gate.client(tls=context) as client,
    ):
        session = client.writer.get_extra_info("ssl_object").session
        assert session.has_ticket == (mode == "none")


@on_both_loops
async def test_the_certificate_of_who_speaks_for_others(
    asking: ServerTls, authority: Authority, certificate: Certificate
) -> None:
    """XCLIENT: what opens doors to the proxy must not open them to its clients."""
    context = certificate.client_context(authority.sign("proxy.example.net"))
    async with serving(CONFIG, tls="implicit", certificates="ask", server_tls=asking) as gate:
        async with connected(gate, "implicit", context) as (client, _):
            await client.ask("XCLIENT ADDR=192.0.2.1")
            await client.ask("EHLO other.example.net")
            await client.deliver("me@example.net", ["you@example.org"], BODY)
        record = (await gate.settled())[-1]
        assert record.tls is not None
        assert record.tls["client_certificate"] is None


CONFIG = """
xclient_peers = ["127.0.0.1"]
[phases]
rcpt = ["reject_unauth_destination"]
"""


async def test_new_authorities_without_a_restart(
    asking: ServerTls, authority: Authority, certificate: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    new = Authority(tmp_path / "new")
    context = certificate.client_context(new.sign("client.example.net"))

    async def verified(gate: Gate) -> bool:
        async with connected(gate, "implicit", context):
            [connection] = gate.services.connections
            tls = connection.facts.tls
        await gate.settled()
        return tls.client_certificate.verified  # type: ignore[no-any-return]

    async with serving(tls="implicit", certificates="ask", server_tls=asking) as gate:
        assert not await verified(gate)
        authority.file.write_bytes(authority.file.read_bytes() + new.file.read_bytes())
        await asking.refresh()
        assert await verified(gate)
        authority.file.write_text("nothing")
        await asking.refresh()
        assert await verified(gate)
