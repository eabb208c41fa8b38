"""The certificate and its key: what is refused with which sentence, and what happens when the files change."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from smtpgate.config.settings import TlsSettings
from smtpgate.server import openssl
from smtpgate.server.tls import CertificateError, ServerTls, build_context
from tests.certificates import NAME, Certificate, issue


@pytest.fixture
def pair(tmp_path: Path) -> Certificate:
    return issue(tmp_path)


def test_the_context(pair: Certificate) -> None:
    context = build_context(pair.settings())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE
    assert build_context(pair.settings("1.3")).minimum_version == ssl.TLSVersion.TLSv1_3
    for cipher in context.get_ciphers():
        assert cipher["kea"] in ("kx-ecdhe", "kx-dhe", "kx-any"), cipher["name"]  # forward secrecy
        assert cipher["auth"] != "auth-null", cipher["name"]


def test_both_may_stand_in_one_file(pair: Certificate) -> None:
    both = pair.certificate.with_name("both.pem")
    both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    build_context(TlsSettings(str(both), str(both)))


def with_password(pair: Certificate) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    pair.key.write_bytes(pem)


def other_key(pair: Certificate) -> None:
    other = pair.key.parent / "other"
    other.mkdir()
    pair.key.write_bytes(issue(other).key.read_bytes())


def a_directory(pair: Certificate) -> None:
    pair.key.unlink()
    pair.key.mkdir()


WRONG: list[tuple[str, Callable[[Certificate], object], str, str]] = [
    ("no certificate", lambda pair: pair.certificate.unlink(), "certificate", "there is no such file"),
    ("no key", lambda pair: pair.key.unlink(), "key", "there is no such file"),
    ("a directory", a_directory, "key", "it cannot be read: Is a directory"),
    ("empty", lambda pair: pair.certificate.write_bytes(b""), "certificate", "there is no certificate in it (PEM)"),
    (
        "damaged",
        lambda pair: pair.certificate.write_text(pair.certificate.read_text().replace("M", "N")),
        "certificate",
        "there is no certificate in it (PEM)",
    ),
    ("DER", lambda pair: pair.key.write_bytes(b"\x30\x82\x00"), "key", "there is no private key in it (PEM)"),
    (
        "swapped",
        lambda pair: pair.key.write_bytes(pair.certificate.read_bytes()),
        "key",
        "there is no private key in it (PEM)",
    ),
    ("password", with_password, "key", "it has a password: nobody is there to type it in"),
    ("other key", other_key, "key", "it does not belong to the certificate"),
]


@pytest.mark.parametrize(("spoil", "option", "said"), [pytest.param(*case[1:], id=case[0]) for case in WRONG])
def test_what_cannot_be_used(spoil: Callable[[Certificate], object], option: str, said: str, pair: Certificate) -> None:
    spoil(pair)
    with pytest.raises(CertificateError) as caught:
        build_context(pair.settings())
    assert (caught.value.option, str(caught.value)) == (option, said)


CA_WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing", lambda path: None, "there is no such file"),
    ("empty", lambda path: path.write_text(""), "there are no certificates in it (PEM)"),
    (
        "a key",
        lambda path: path.write_bytes(path.with_name("key.pem").read_bytes()),
        "there are no certificates in it (PEM)",
    ),
    ("a directory", lambda path: path.mkdir(), "it cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("make", "said"), [pytest.param(*case[1:], id=case[0]) for case in CA_WRONG])
def test_authorities_that_cannot_be_used(make: Callable[[Path], object], said: str, pair: Certificate) -> None:
    file = pair.key.with_name("ca.pem")
    make(file)
    settings = dataclasses.replace(pair.settings(), client_ca=str(file))
    build_context(settings)  # nobody is asked, nobody reads it
    with pytest.raises(CertificateError) as caught:
        build_context(settings, ask=True)
    assert (caught.value.option, str(caught.value)) == ("client_ca", said)


def test_a_python_that_cannot_ask(pair: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.implementation.name", "pypy")
    openssl._library.cache_clear()
    with pytest.raises(CertificateError, match="this Python cannot ask clients for certificates: it is not CPython"):
        build_context(pair.settings(), ask=True)


def test_a_path_with_nul(pair: Certificate) -> None:
    with pytest.raises(CertificateError, match="it cannot be read: embedded null byte"):
        build_context(dataclasses.replace(pair.settings(), key="a\0b"))


def test_what_openssl_refuses(tmp_path: Path) -> None:
    """An RSA key of 1024 bits is a pair that fits, and no protection."""
    weak = issue(tmp_path, key=rsa.generate_private_key(65537, 1024))
    with pytest.raises(CertificateError, match="OpenSSL refuses it: ee key too small"):
        build_context(weak.settings())


async def test_a_change_is_noticed(pair: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smtpgate.server")
    tls = ServerTls(pair.settings())
    first = tls.context()
    await tls.refresh()
    assert tls.context() is first
    issue(pair.certificate.parent)
    await tls.refresh()
    assert tls.context() is not first
    assert len(caplog.records) == 1
    await tls.refresh()
    assert len(caplog.records) == 1


async def test_links_are_followed(tmp_path: Path) -> None:
    """As certbot keeps its files."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        issue(tmp_path / name)
    live = tmp_path / "live"
    live.symlink_to("old")
    tls = ServerTls(TlsSettings(str(live / "certificate.pem"), str(live / "key.pem")))
    first = tls.context()
    live.unlink()
    live.symlink_to("new")
    await tls.refresh()
    assert tls.context() is not first


@pytest.mark.parametrize(("spoil", "option", "said"), [pytest.param(*case[1:], id=case[0]) for case in WRONG])
async def test_new_files_that_are_wrong(
    spoil: Callable[[Certificate], object], option: str, said: str, pair: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """The old context stays, which is told once; when they are right again they are used."""
    tls = ServerTls(pair.settings())
    first = tls.context()
    spoil(pair)
    for _ in range(3):
        await tls.refresh()
    assert tls.context() is first
    [record] = caplog.records
    path = getattr(pair, option)
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"the new {option} {path} is not used, the old one stays: {said}"
    if pair.key.is_dir():
        pair.key.rmdir()
    issue(pair.certificate.parent)
    await tls.refresh()
    assert tls.context() is not first


async def test_rights_that_are_mended(pair: Certificate) -> None:
    """Then only the time of the last change of the inode tells."""
    tls = ServerTls(pair.settings())
    first = tls.context()
    os.chmod(pair.key, 0o640)
    await tls.refresh()
    assert tls.context() is not first


async def test_the_watch(pair: Certificate) -> None:
    tls = ServerTls(pair.settings(), check_every=0.001)
    first = tls.context()
    watching = asyncio.create_task(tls.watch())
    issue(pair.certificate.parent)
    async with asyncio.timeout(10):
        while tls.context() is first:  # noqa: ASYNC110
            await asyncio.sleep(0)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


def test_the_name_asked_for_is_remembered(pair: Certificate) -> None:
    for name in (NAME, None):
        server = handshake(build_context(pair.settings()), name)
        assert server.sni == name  # type: ignore[attr-defined]


def handshake(context: ssl.SSLContext, name: str | None) -> ssl.SSLObject:
    """The server's side of a connection whose client asked for a name."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return server
