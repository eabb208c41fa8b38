"""reject_plaintext_session, permit_tls_all_clientcerts, permit_tls_clientcerts."""

import pytest

from smtpgate.phases.facts import ClientCertificate, TlsFacts
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


CERTIFICATE, KEY, OTHER = (":".join([pair] * 32) for pair in ("0A", "1B", "2C"))


def tls(*, verified: bool) -> TlsFacts:
    shown = ClientCertificate("client.example.net", "Example CA", CERTIFICATE, KEY, verified)
    return TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, client_certificate=shown)


NONE_SHOWN = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)


@pytest.mark.parametrize(
    ("session", "expected"),
    [(None, "dunno"), (NONE_SHOWN, "dunno"), (tls(verified=False), "dunno"), (tls(verified=True), "permit")],
)
@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
async def test_permit_tls_all_clientcerts(client: str, session: TlsFacts | None, expected: str) -> None:
    tx = facts(client=client, tls=session, sender="")
    assert short(await ask("permit_tls_all_clientcerts", tx, context())) == expected


@pytest.mark.parametrize(
    ("session", "fingerprints", "expected"),
    [
        (None, [CERTIFICATE], "dunno"),
        (NONE_SHOWN, [CERTIFICATE], "dunno"),
        (tls(verified=True), [OTHER], "dunno"),
        (tls(verified=False), [CERTIFICATE], "permit"),
        (tls(verified=False), [OTHER, KEY], "permit"),
        (tls(verified=False), [KEY.lower()], "permit"),
    ],
)
async def test_permit_tls_clientcerts(session: TlsFacts | None, fingerprints: list[str], expected: str) -> None:
    verdict = await ask("permit_tls_clientcerts", facts(tls=session), context(), fingerprints=fingerprints)
    assert short(verdict) == expected


@pytest.mark.parametrize("wrong", [[], [""], ["0A:1B"], [CERTIFICATE.replace(":", "")], CERTIFICATE, [f"{KEY}:1B"]])
async def test_what_is_no_fingerprint(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"fingerprint|list"):
        await ask("permit_tls_clientcerts", facts(), context(), fingerprints=wrong)


async def test_a_key_of_an_unknown_kind_matches_nothing() -> None:
    shown = ClientCertificate("", "", CERTIFICATE, "")
    tx = facts(tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, client_certificate=shown))
    assert short(await ask("permit_tls_clientcerts", tx, context(), fingerprints=[KEY])) == "dunno"
