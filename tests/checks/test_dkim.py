"""check_dkim."""

import json

import pytest

from smtpgate.checks.dkim import DkimOptions
from smtpgate.mailauth.authentication_results import MethodResult
from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns
from tests.mailauth.signing import KEY_NAME, MESSAGE, record, rsa_key, signed

KEY = record(rsa_key())
ZONE = FakeDns(
    TXT={KEY_NAME: [KEY], "new._domainkey.example.org": [record(rsa_key(), "t=y;")]},
    fail={"away._domainkey.example.org"},
)
GOOD, BAD = signed(), signed().replace(b"Hello", b"Hullo")
ODD, AWAY = signed(v="2"), signed(s="away")


@pytest.mark.parametrize(
    ("message", "result", "rejected", "deferred"),
    [
        (GOOD, "pass", "dunno", "dunno"),
        (BAD, "fail", "reject 550 5.7.20", "defer 451 4.7.20"),
        (signed(l="3"), "fail", "reject 550 5.7.20", "defer 451 4.7.20"),
        (ODD, "permerror", "reject 550 5.7.20", "defer 451 4.7.20"),
        (MESSAGE, "none", "reject 550 5.7.20", "defer 451 4.7.20"),
        (AWAY, "temperror", None, "defer 451 4.4.3"),
        # several signatures
        (signed(GOOD, v="2"), "pass", "dunno", "dunno"),
        (signed(BAD, v="2"), "fail", "reject 550 5.7.20", "defer 451 4.7.20"),
        (signed(BAD, s="away"), "temperror", None, "defer 451 4.4.3"),
        # test mode
        (signed(s="new"), "pass", "dunno", "dunno"),
        (signed(s="new").replace(b"Hello", b"Hullo"), "none", "reject 550 5.7.20", "defer 451 4.7.20"),
    ],
)
async def test_check_dkim(message: bytes, result: str, rejected: str | None, deferred: str) -> None:
    for response, expected in ((None, "dunno"), ("reject", rejected), ("defer", deferred), ("tag", "dunno")):
        options = {} if response is None or result == "pass" else {result: response}
        if expected is None:
            continue  # a configuration cannot say so: see below
        verdict = await ask("check_dkim", facts(message=message), context(dns=ZONE), **options)
        assert short(verdict) == expected
        assert verdict.evidence["result"] == result
        json.dumps(verdict.evidence)


async def test_a_failed_lookup_cannot_refuse_for_good() -> None:
    with pytest.raises(ValueError, match="defer"):
        await ask("check_dkim", facts(), context(), temperror="reject")


def test_by_default_every_result_is_only_noted() -> None:
    assert DkimOptions() == DkimOptions("tag", "tag", "tag", "tag")


async def test_every_signature_is_noted() -> None:
    message = signed(signed().replace(b"Hello", b"Hullo"), s="new")
    verdict = await ask("check_dkim", facts(message=message), context(dns=ZONE))
    first, second = verdict.results
    assert (first.method, first.result, first.reason) == ("dkim", "pass", "test mode")
    assert dict(first.properties) | {"header.b": ""} == {
        "header.d": "example.org",
        "header.s": "new",
        "header.a": "rsa-sha256",
        "header.b": "",
    }
    assert (second.result, second.reason) == ("fail", "header has been altered")


async def test_no_signature_is_noted() -> None:
    verdict = await ask("check_dkim", facts(message=MESSAGE), context(dns=ZONE))
    assert verdict.results == (MethodResult("dkim", "none"),)


async def test_the_evidence() -> None:
    verdict = await ask("check_dkim", facts(message=BAD), context(dns=ZONE))
    (seen,) = verdict.evidence["signatures"]
    assert seen | {"b": ""} == {
        "result": "fail",
        "domain": "example.org",
        "selector": "sel",
        "algorithm": "rsa-sha256",
        "key_bits": 2048,
        "b": "",
        "reason": "header has been altered",
        "testing": False,
    }
