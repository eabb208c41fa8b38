"""How a connection to a downstream is kept from others' eyes, and who we say we are."""

import ssl
from dataclasses import dataclass, field
from typing import Literal

Tls = Literal["none", "starttls", "implicit"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the downstream (RFC 4954). The password shows itself nowhere."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Security:
    """tls: "starttls" means that nothing is sent without it. context: what TLS trusts; needed unless tls is "none"."""

    tls: Tls = "none"
    context: ssl.SSLContext | None = None
    login: Login | None = None

    @property
    def is_verified(self) -> bool:
        """Whether it is certain who reads what is sent."""
        return self.tls != "none" and self.context is not None and self.context.verify_mode == ssl.CERT_REQUIRED


NO_SECURITY = Security()


def tls_context(*, verify: bool = True, ca: str = "") -> ssl.SSLContext:
    """The client's side of TLS, 1.2 or later.

    verify: whether the certificate must be good for the name in the URL. ca: a file of trusted certificates instead of
    the system's. Raises OSError, of which ssl.SSLError is one, for a file that cannot be read or is none.
    """
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
