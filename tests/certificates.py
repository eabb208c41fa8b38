"""Certificates that sign themselves, made when they are needed."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from smtpgate.config.settings import TlsSettings

NAME = "mx.example.org"


@dataclass(frozen=True)
class Certificate:
    """Two files in PEM."""

    certificate: Path
    key: Path

    def settings(self, minimum: str = "1.2") -> TlsSettings:
        return TlsSettings(str(self.certificate), str(self.key), minimum)

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self, showing: "Certificate | None" = None) -> ssl.SSLContext:
        """For a client that trusts this certificate and no other. showing: its own, if the server asks."""
        context = ssl.create_default_context(cafile=self.certificate)
        if showing is not None:
            context.load_cert_chain(showing.certificate, showing.key)
        return context


def issue(
    directory: Path, name: str = NAME, *, key: rsa.RSAPrivateKey | None = None, days: tuple[int, int] = (-1, 1)
) -> Certificate:
    """Make a certificate and, unless one is given, a key; existing files are overwritten, as those who renew do.

    days: from and until when it is valid.
    """
    signing = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(signing.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key.write_bytes(signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


class Authority:
    """Who signs certificates for clients. file: its own, in PEM."""

    def __init__(self, directory: Path, name: str = "Test CA") -> None:
        self._directory = directory
        self._issued = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        self.file = directory / f"{name}.pem"
        authority = _builder(self._name, self._name, self._key.public_key())
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._own = authority.sign(self._key, hashes.SHA256())
        self.file.write_bytes(self._own.public_bytes(Encoding.PEM))

    def sign(
        self,
        name: str,
        *,
        usage: x509.ObjectIdentifier | None = None,
        days: tuple[int, int] = (-1, 1),
        through: str | None = None,
    ) -> Certificate:
        """A certificate for a client. days: from and until when it is valid. through: the name of an authority that we
        made and that signs it; its certificate stands in the file, too."""
        key, signing, issuer, between = ec.generate_private_key(ec.SECP256R1()), self._key, self._name, b""
        if through is not None:
            signing, issuer = ec.generate_private_key(ec.SECP256R1()), _common_name(through)
            authority = _builder(issuer, self._name, signing.public_key())
            authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            between = authority.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        builder = _builder(_common_name(name), issuer, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        pem = builder.sign(signing, hashes.SHA256()).public_bytes(Encoding.PEM)
        self._issued += 1
        made = Certificate(self._directory / f"{self._issued}.pem", self._directory / f"{self._issued}-key.pem")
        made.certificate.write_bytes(pem + between)
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: tuple[int, int] = (-1, 1)
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
