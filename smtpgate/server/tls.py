"""The certificate, its key, and who may sign those of clients: checked before use, read again when they change."""

import asyncio
import logging
import os
import pathlib
import ssl
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from smtpgate.config.errors import ConfigError, ConfigErrors, quote
from smtpgate.config.lines import find_lines
from smtpgate.config.settings import Settings, TlsSettings
from smtpgate.server.expiry import validity
from smtpgate.server.openssl import AskingError, ask_for_certificates
from smtpgate.smtp.client_certificates import ClientAuthorities
from smtpgate.smtp.tls import NamedSSLObject, ServerContext, remember_name

log = logging.getLogger(__name__)

# Python's own choice, which some systems' Python, as Debian's, leaves to OpenSSL: with forward secrecy only.
_CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class CertificateError(Exception):
    """A file cannot be used. option: which of them. The text says why."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(problem)
        self.option = option


class ServerTls:
    """The contexts that new handshakes use. Raises CertificateError, at first only.

    asks: whether some listener asks clients for certificates. check_every: seconds between two looks at the files.
    """

    def __init__(self, settings: TlsSettings, *, asks: bool = False, check_every: float = 5.0) -> None:
        self._settings = settings
        self._asks = asks
        self._check_every = check_every
        self._seen = _stamps(settings)
        self._contexts = self._build()

    def context(self, ask: bool = False) -> ssl.SSLContext:
        """The newest context that was right; sessions keep the one that they began with.

        ask: the client is asked for its certificate.
        """
        return self._contexts[ask]

    async def watch(self) -> None:
        """Read the files again whenever they change, until cancelled."""
        while True:
            await asyncio.sleep(self._check_every)
            try:
                await self.refresh()
            except Exception:
                log.exception("the certificate %s cannot be read again", self._settings.certificate)

    async def refresh(self) -> None:
        """Read the files again if they changed."""
        seen = await asyncio.to_thread(_stamps, self._settings)
        if seen == self._seen:
            return
        self._seen = seen  # files that are wrong are told about once
        try:
            self._contexts = await asyncio.to_thread(self._build)
        except CertificateError as error:
            path = getattr(self._settings, error.option)
            log.error("the new %s %s is not used, the old one stays: %s", error.option, path, error)
        else:
            log.info("the certificate %s changed and is used from now on", self._settings.certificate)

    def _build(self) -> dict[bool, ssl.SSLContext]:
        return {ask: build_context(self._settings, ask=ask) for ask in ([False, True] if self._asks else [False])}


def check_files(settings: Settings, file: str) -> list[str]:
    """Raise ConfigErrors, about the configuration in `file`, unless the files that it names can be used.

    Returns warnings: the certificate has expired, or soon will.
    """
    if not settings.has_tls:
        return []
    lines = find_lines(pathlib.Path(file).read_text(encoding="utf-8-sig"))

    def about(option: str, problem: str) -> ConfigError:
        path = getattr(settings.tls, option)
        return ConfigError(file, lines.get(("tls", option)), f"[tls] {option}", f"{quote(path)}: {problem}")

    wrong = []
    for option in ("certificate", "key", "client_ca"):
        try:
            if path := getattr(settings.tls, option):
                _read(option, path)
        except CertificateError as error:
            wrong.append(about(option, str(error)))
    if wrong:
        raise ConfigErrors(wrong)
    try:
        build_context(settings.tls, ask=settings.asks_for_certificates)
    except CertificateError as error:
        raise ConfigErrors([about(error.option, str(error))]) from None
    found = validity(settings.tls.certificate)
    trouble = found.trouble(datetime.now(UTC)) if found else ""
    return [str(about("certificate", trouble))] if trouble else []


def build_context(settings: TlsSettings, *, ask: bool = False) -> ssl.SSLContext:
    """A server's context.

    ask: clients are asked for their certificates. Reads files. Raises CertificateError.
    """
    _check_pair(settings)
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[settings.minimum]
    context.set_ciphers(_CIPHERS)
    # A client that asks for it makes the server work; nobody needs it (RFC 8446 has done away with it).
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslobject_class = NamedSSLObject
    context.sni_callback = remember_name
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ValueError) as error:  # too small a key, or changed while it was read
        reason = getattr(error, "reason", None) or error.__class__.__name__
        raise CertificateError("certificate", f"OpenSSL refuses it: {reason.replace('_', ' ').lower()}") from None
    if ask:
        context.authorities = ClientAuthorities(_trusted(settings.client_ca))
        try:
            ask_for_certificates(context)
        except AskingError as error:
            raise CertificateError("client_ca", f"this Python cannot ask clients for certificates: {error}") from None
    return context


def _trusted(path: str) -> list[x509.Certificate]:
    if not path:
        return []
    try:
        return x509.load_pem_x509_certificates(_read("client_ca", path))
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("client_ca", "there are no certificates in it (PEM)") from None


def _check_pair(settings: TlsSettings) -> None:
    """Say in a sentence what OpenSSL would say in a riddle, or ask for on the terminal."""
    certificate = _certificate_key(_read("certificate", settings.certificate))
    key = _private_key(_read("key", settings.key))
    if _encoded(certificate) != _encoded(key):
        raise CertificateError("key", "it does not belong to the certificate")


def _read(option: str, path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise CertificateError(option, "there is no such file") from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise CertificateError(option, f"it cannot be read: {problem}") from None


def _certificate_key(pem: bytes) -> PublicKeyTypes:
    try:
        # RFC 8446 §4.4.2: the server's own stands first, before those that sign it.
        return x509.load_pem_x509_certificates(pem)[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("certificate", "there is no certificate in it (PEM)") from None


def _private_key(pem: bytes) -> PublicKeyTypes:
    try:
        return load_pem_private_key(pem, None).public_key()
    except TypeError:
        raise CertificateError("key", "it has a password: nobody is there to type it in") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("key", "there is no private key in it (PEM)") from None


def _encoded(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _stamps(settings: TlsSettings) -> list[tuple[int, int, int, int] | None]:
    """What tells whether the files changed; links are followed."""
    return [_stamp(path) for path in (settings.certificate, settings.key, settings.client_ca)]


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
