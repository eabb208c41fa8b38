"""reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname."""

import pytest

from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

INVALID, NOT_FQDN = "reject 501 5.5.2", "reject 504 5.5.2"


@pytest.mark.parametrize(
    ("helo", "invalid", "non_fqdn"),
    [
        ("mail.example.net", "dunno", "dunno"),
        ("MAIL.example.net.", "dunno", "dunno"),
        ("xn--bcher-kva.example", "dunno", "dunno"),
        ("under_score.example", "dunno", "dunno"),
        ("localhost", "dunno", NOT_FQDN),
        ("localhost.", "dunno", NOT_FQDN),
        ("-mail.example.net", INVALID, NOT_FQDN),
        ("mail..example.net", INVALID, NOT_FQDN),
        ("mail.example.net..", INVALID, NOT_FQDN),
        (".example.net", INVALID, NOT_FQDN),
        (".", INVALID, NOT_FQDN),
        ("", INVALID, NOT_FQDN),
        ("mail example.net", INVALID, NOT_FQDN),
        ("bücher.example", INVALID, NOT_FQDN),
        ("a" * 64 + ".example.net", INVALID, NOT_FQDN),
        ("a." * 127 + "aa", INVALID, NOT_FQDN),
        # an address without its brackets: Postfix lets it pass the first question
        ("192.0.2.1", "dunno", NOT_FQDN),
        ("2001:db8::1", "dunno", NOT_FQDN),
        ("192.0.2.256", INVALID, NOT_FQDN),
        ("12345", INVALID, NOT_FQDN),
        # literals: the syntax only, whatever address it is
        ("[192.0.2.1]", "dunno", "dunno"),
        ("[127.0.0.1]", "dunno", "dunno"),
        ("[IPv6:2001:db8::1]", "dunno", "dunno"),
        ("[ipv6:::1]", "dunno", "dunno"),
        ("[192.0.2.256]", INVALID, INVALID),
        ("[192.0.2.1", INVALID, INVALID),
        ("[2001:db8::1]", INVALID, INVALID),
        ("[IPv6:192.0.2.1]", INVALID, INVALID),
        ("[IPv6:fe80::1%eth0]", INVALID, INVALID),
        ("[mail.example.net]", INVALID, INVALID),
        ("[]", INVALID, INVALID),
        ("[", INVALID, INVALID),
    ],
)
class TestHeloNames:
    async def test_reject_invalid_helo_hostname(self, helo: str, invalid: str, non_fqdn: str) -> None:
        assert short(await ask("reject_invalid_helo_hostname", facts(helo=helo), context())) == invalid

    async def test_reject_non_fqdn_helo_hostname(self, helo: str, invalid: str, non_fqdn: str) -> None:
        assert short(await ask("reject_non_fqdn_helo_hostname", facts(helo=helo), context())) == non_fqdn


@pytest.mark.parametrize(
    ("rule", "helo", "reply"),
    [
        ("reject_invalid_helo_hostname", "a b", "501 5.5.2 <a b>: Helo command rejected: Invalid name"),
        ("reject_invalid_helo_hostname", "[x]", "501 5.5.2 <[x]>: Helo command rejected: invalid ip address"),
        (
            "reject_non_fqdn_helo_hostname",
            "localhost",
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        ),
    ],
)
async def test_replies_say_what_was_looked_at(rule: str, helo: str, reply: str) -> None:
    assert str((await ask(rule, facts(helo=helo), context())).reply) == reply


NOT_FOUND, LATER, NAME = "reject 450 4.7.1", "defer_if_permit 450 4.7.1", "mail.example.net"


@pytest.mark.parametrize(
    ("helo", "zone", "expected"),
    [
        (NAME, {"A": {NAME: ["192.0.2.1"]}}, "dunno"),
        ("Mail.Example.NET.", {"A": {NAME: ["192.0.2.1"]}}, "dunno"),
        (NAME, {"AAAA": {NAME: ["2001:db8::1"]}}, "dunno"),
        (NAME, {"MX": {NAME: ["10 mx.example.net"]}}, "dunno"),
        (NAME, {"MX": {NAME: ["0 ."]}}, "dunno"),  # who sends need not receive
        ("xn--bcher-kva.example", {"A": {"xn--bcher-kva.example": ["192.0.2.1"]}}, "dunno"),
        ("localhost", {"A": {"localhost": ["127.0.0.1"]}}, "dunno"),
        (NAME, {}, NOT_FOUND),
        (NAME, {"TXT": {NAME: ["x"]}}, NOT_FOUND),
        (NAME, {"fail": {NAME}}, LATER),
        (NAME, {"TXT": {NAME: ["x"]}, "fail": {f"{NAME} MX"}}, LATER),
        (NAME, {"TXT": {NAME: ["x"]}, "fail": {f"{NAME} A"}}, LATER),
        (NAME, {"AAAA": {NAME: ["2001:db8::1"]}, "fail": {f"{NAME} A"}}, "dunno"),
        (NAME, {"MX": {NAME: ["10 mx.example.net"]}, "fail": {f"{NAME} A", f"{NAME} AAAA"}}, "dunno"),
        # no name server is asked
        ("192.0.2.1", {"fail": {"192.0.2.1"}}, NOT_FOUND),
        ("2001:db8::1", {"fail": {"2001:db8::1"}}, NOT_FOUND),
        ("bücher.example", {"fail": {"bücher.example"}}, NOT_FOUND),
        ("", {"fail": {""}}, NOT_FOUND),
        ("[192.0.2.1]", {}, "dunno"),
        ("[IPv6:2001:db8::1]", {}, "dunno"),
        ("[192.0.2.256]", {}, INVALID),
    ],
)
async def test_reject_unknown_helo_hostname(helo: str, zone: dict, expected: str) -> None:
    verdict = await ask("reject_unknown_helo_hostname", facts(helo=helo), context(dns=FakeDns(**zone)))
    assert short(verdict) == expected
    if expected in (NOT_FOUND, LATER):
        assert verdict.reply.text == f"<{helo}>: Helo command rejected: Host not found"
