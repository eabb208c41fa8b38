"""The certificate that a client showed in its handshake: what it says, and whether we trust who signed it."""

import hashlib
import ssl
from collections.abc import Sequence
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smtpgate.phases.facts import ClientCertificate

# More than anybody needs between his own and one that we trust; a stranger sends them.
_MOST_INTERMEDIATES = 8
# Postfix: CCERT_BUFSIZ.
_LONGEST_NAME = 256
_LONGEST_PROBLEM = 200
_UNREADABLE = (ValueError, x509.InvalidVersion)
_FOR_CLIENTS = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class ClientAuthorities:
    """Who may vouch for clients. trusted: their certificates; without any, nobody is verified."""

    def __init__(self, trusted: Sequence[x509.Certificate] = ()) -> None:
        self._policy = None
        if trusted:
            policy = verification.PolicyBuilder().store(verification.Store(list(trusted)))
            self._policy = policy.extension_policies(ca_policy=_AUTHORITY, ee_policy=_CLIENT)

    def examine(self, chain: Sequence[bytes]) -> ClientCertificate:
        """What a certificate says, and whether it may be believed. Computes signatures: not for the event loop.

        chain: in DER, the client's own first (RFC 8446 §4.4.2). Never raises.
        """
        fingerprint = _fingerprint(chain[0])
        try:
            certificate = x509.load_der_x509_certificate(chain[0])
            subject, issuer = _name(certificate.subject), _name(certificate.issuer)
        except _UNREADABLE as error:  # OpenSSL reads what others do not
            return ClientCertificate("", "", fingerprint, "", problem=_short(f"it cannot be read: {error}"))
        problem = self._problem(certificate, chain[1 : _MOST_INTERMEDIATES + 1])
        return ClientCertificate(subject, issuer, fingerprint, _key_fingerprint(certificate), not problem, problem)

    def _problem(self, certificate: x509.Certificate, others: Sequence[bytes]) -> str:
        """Why it is not to be trusted; "" if it is."""
        if self._policy is None:
            return "nobody is trusted to sign clients' certificates (client_ca)"
        try:
            # RFC 5280 §6, at this moment. Who it belongs to is for the rules to say.
            between = [x509.load_der_x509_certificate(other) for other in others]
            self._policy.build_client_verifier().verify(certificate, between)
        except (verification.VerificationError, *_UNREADABLE, UnsupportedAlgorithm) as error:
            return _short(str(error)) or "it cannot be verified"
        return ""


def shown_chain(connection: ssl.SSLObject) -> list[bytes]:
    """What the client showed, in DER, its own certificate first; nothing if it showed none."""
    if connection.getpeercert(binary_form=True) is None:
        return []
    # Public since Python 3.13, where the elements are bytes.
    source = connection if hasattr(connection, "get_unverified_chain") else cast(Any, connection)._sslobj
    shown = source.get_unverified_chain()
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in shown]


def _name(name: x509.Name) -> str:
    """The common name, or else, as Postfix does, the organization."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            if isinstance(attribute.value, str):
                return "".join(c if c.isprintable() else "?" for c in attribute.value[:_LONGEST_NAME])
    return ""


def _fingerprint(der: bytes) -> str:
    """As Postfix writes them, with smtpd_tls_fingerprint_digest = sha256."""
    return hashlib.sha256(der).digest().hex(":").upper()


def _key_fingerprint(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return _fingerprint(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _short(problem: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in problem[:_LONGEST_PROBLEM])


def _is_authority(policy: verification.Policy, certificate: x509.Certificate, found: x509.BasicConstraints) -> None:
    if not found.ca:
        raise ValueError("it may not sign others")


def _signs(policy: verification.Policy, certificate: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found is not None and not found.key_cert_sign:
        raise ValueError("its key may not sign certificates")


def _is_for_clients(
    policy: verification.Policy, certificate: x509.Certificate, found: x509.ExtendedKeyUsage | None
) -> None:
    if found is not None and not _FOR_CLIENTS.intersection(found):
        raise ValueError("it is not for clients")


# What OpenSSL asks of them, and Postfix with it; the rules of the Web would ask for names and more besides.
_AGNOSTIC = verification.Criticality.AGNOSTIC
_AUTHORITY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, _AGNOSTIC, _signs)
)
_CLIENT = verification.ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, _AGNOSTIC, _is_for_clients)
