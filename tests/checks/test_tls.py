"""reject_plaintext_session."""

import pytest

from smtpgate.phases.facts import TlsFacts
from tests.checks.asking import ask, context, facts, short


@pytest.mark.parametrize(
    ("tls", "client", "expected"),
    [
        (None, "203.0.113.7", "reject 450 4.7.1"),
        (None, "2001:db8::7", "reject 450 4.7.1"),
        (TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256), "203.0.113.7", "dunno"),
        (TlsFacts("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 128, "mx.example.org"), "2001:db8::7", "dunno"),
    ],
)
async def test_reject_plaintext_session(tls: TlsFacts | None, client: str, expected: str) -> None:
    verdict = await ask("reject_plaintext_session", facts(client=client, tls=tls), context())
    assert short(verdict) == expected
