"""reject_unknown_client_hostname, reject_unknown_reverse_client_hostname."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

UNKNOWN, NO_REVERSE = "reject 450 4.7.25", "reject 450 4.7.1"
V4, V6 = "203.0.113.7", "2001:db8::7"
V4_REVERSE = "7.113.0.203.in-addr.arpa"
NAMED = {"PTR": {V4: ["mail.example.net"]}, "A": {"mail.example.net": [V4]}}


@pytest.mark.parametrize(
    ("client", "zone", "expected"),
    [
        (V4, NAMED, "dunno"),
        (V6, {"PTR": {V6: ["mail.example.net"]}, "AAAA": {"mail.example.net": [V6]}}, "dunno"),
        (V4, {"PTR": {V4: ["other.example.net", "mail.example.net"]}, "A": NAMED["A"]}, "dunno"),
        (V4, {}, UNKNOWN),
        (V6, {}, UNKNOWN),
        (V4, {"PTR": NAMED["PTR"]}, UNKNOWN),
        (V4, {"PTR": NAMED["PTR"], "A": {"mail.example.net": ["203.0.113.8"]}}, UNKNOWN),
        (V6, {"PTR": {V6: ["mail.example.net"]}, "A": {"mail.example.net": [V4]}}, UNKNOWN),
        (V4, {"PTR": {V4: ["not a name"]}}, UNKNOWN),
        # temporary failures: 450 too, as in Postfix
        (V4, {**NAMED, "fail": {V4_REVERSE}}, UNKNOWN),
        (V4, {**NAMED, "fail": {"mail.example.net"}}, UNKNOWN),
    ],
)
async def test_reject_unknown_client_hostname(client: str, zone: dict, expected: str) -> None:
    verdict = await ask("reject_unknown_client_hostname", facts(client=client), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    assert verdict.evidence["dns"]


@pytest.mark.parametrize(
    ("client", "zone", "expected"),
    [
        (V4, NAMED, "dunno"),
        (V4, {"PTR": NAMED["PTR"]}, "dunno"),
        (V6, {"PTR": {V6: ["mail.example.net"]}}, "dunno"),
        (V4, {}, NO_REVERSE),
        (V6, {}, NO_REVERSE),
        (V4, {"TXT": {V4_REVERSE: ["no PTR"]}}, NO_REVERSE),
        (V4, {**NAMED, "fail": {V4_REVERSE}}, NO_REVERSE),
    ],
)
async def test_reject_unknown_reverse_client_hostname(client: str, zone: dict, expected: str) -> None:
    verdict = await ask("reject_unknown_reverse_client_hostname", facts(client=client), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    assert verdict.evidence["dns"]


async def test_replies_and_evidence_say_what_was_seen() -> None:
    verdict = await ask("reject_unknown_client_hostname", facts(), context())
    assert str(verdict.reply) == "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.7]"
    assert verdict.evidence["outcome"] == "the address has no name"
    verdict = await ask("reject_unknown_reverse_client_hostname", facts(), context())
    assert str(verdict.reply) == "450 4.7.1 Client host rejected: cannot find your reverse hostname, [203.0.113.7]"
    assert verdict.evidence["dns"] == [f"{V4_REVERSE} PTR: no such name"]
