"""How long the certificate is good for: clients that verify it send no mail once it has expired."""

import pathlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from smtpgate.config.settings import Settings

# Who renews by a program does so earlier: Let's Encrypt's 30 days before the end, or at a third of a shorter life.
_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate is valid. Times in UTC."""

    begins: datetime
    ends: datetime

    def trouble(self, now: datetime) -> str:
        """What is wrong with it, or soon will be; "" if nothing is."""
        if now >= self.ends:
            return f"it expired on {self.ends:%Y-%m-%d}"
        if now < self.begins:
            return f"it is not valid before {self.begins:%Y-%m-%d %H:%M} UTC"
        left = self.ends - now
        if left >= min(_SOON, (self.ends - self.begins) / 4):
            return ""
        hours = left // timedelta(hours=1)
        return f"it expires in {f'{hours // 24} days' if hours >= 48 else f'{hours} hours'}, on {self.ends:%Y-%m-%d}"


def validity(path: str) -> Validity | None:
    """That of the certificate in a file, the server's own if there are more; None if it cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificates(pathlib.Path(path).read_bytes())[0]
    except (OSError, ValueError):
        return None
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def certificate_status(settings: Settings) -> dict[str, Any] | None:
    """For `smtpgate status`; None if no listener speaks TLS. expires: seconds since 1970, None if it cannot be read."""
    if not settings.has_tls:
        return None
    found = validity(settings.tls.certificate)
    return {
        "file": settings.tls.certificate,
        "expires": found and found.ends.timestamp(),
        "trouble": found.trouble(datetime.now(UTC)) if found else "it cannot be read",
    }
