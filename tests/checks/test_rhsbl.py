"""reject_rhsbl_client, _reverse_client, _helo, _sender, _recipient, and permit_rhswl_client."""

import ipaddress

import pytest

from smtpgate.phases.facts import Via
from tests.checks.asking import CLIENT, ask, context, facts, short
from tests.fakes import FakeDns

LISTED, LATER = "reject 554 5.7.1", "defer_if_reject 450 4.7.1"
NAME = "bad.example.net"
ON_LIST = {f"{NAME}.dbl.example": ["127.0.1.2"]}
IDN = "xn--bcher-kva.example"
V6 = "2001:db8::7"
# Which fact a rule looks at, and how a reply calls it.
SUBJECTS = {
    "reject_rhsbl_helo": ("helo", "{}", "Helo command [{}]"),
    "reject_rhsbl_sender": ("sender", "a@{}", "Sender address [a@{}]"),
    "reject_rhsbl_recipient": ("recipient", "b@{}", "Recipient address [b@{}]"),
}


@pytest.mark.parametrize("rule", SUBJECTS)
@pytest.mark.parametrize(
    ("domain", "zone", "answers", "expected"),
    [
        (NAME, "dbl.example", {}, "dunno"),
        (NAME, "dbl.example", {"A": ON_LIST}, LISTED),
        (NAME, "dbl.example=127.0.1.2", {"A": ON_LIST}, LISTED),
        (NAME, "dbl.example=127.0.1.[3..99]", {"A": ON_LIST}, "dunno"),
        (IDN, "dbl.example", {"A": {f"{IDN}.dbl.example": ["127.0.1.2"]}}, LISTED),
        # errors and refusals are no listings
        (NAME, "dbl.example", {"A": {f"{NAME}.dbl.example": ["127.255.255.254"]}}, "dunno"),
        (NAME, "dbl.example", {"A": {f"{NAME}.dbl.example": ["198.51.100.1"]}}, "dunno"),
        (NAME, "multi.surbl.org", {"A": {f"{NAME}.multi.surbl.org": ["127.0.0.1"]}}, "dunno"),
        (NAME, "multi.surbl.org", {"A": {f"{NAME}.multi.surbl.org": ["127.0.0.64"]}}, LISTED),
        (NAME, "multi.uribl.com=127.0.0.1", {"A": {f"{NAME}.multi.uribl.com": ["127.0.0.1"]}}, "dunno"),
        (NAME, "multi.uribl.com", {"A": {f"{NAME}.multi.uribl.com": ["127.0.0.2"]}}, LISTED),
        # nobody knows
        (NAME, "dbl.example", {"fail": {f"{NAME}.dbl.example"}}, "dunno"),
        (NAME, "dbl.example", {"A": ON_LIST, "fail": {f"{NAME}.dbl.example TXT"}}, LISTED),
        # never asked
        ("[192.0.2.1]", "dbl.example", {"fail": {"[192.0.2.1].dbl.example"}}, "dunno"),
        ("[IPv6:2001:db8::1]", "dbl.example", {}, "dunno"),
        ("192.0.2.1", "dbl.example", {"A": {"192.0.2.1.dbl.example": ["127.0.1.2"]}}, "dunno"),
    ],
)
async def test_one_domain(rule: str, domain: str, zone: str, answers: dict, expected: str) -> None:
    fact, written, called = SUBJECTS[rule]
    dns = FakeDns(**answers)
    verdict = await ask(f"{rule} {zone}", facts(**{fact: written.format(domain)}), context(dns=dns))
    assert short(verdict) == expected
    assert dns.asked[:1] == ([] if domain[-1] in "]1" else [(f"{domain}.{zone.split('=')[0]}", "A")])
    if verdict.reply:
        assert verdict.reply.text == f"Service unavailable; {called.format(domain)} blocked using {zone.split('=')[0]}"


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ("reject_rhsbl_sender", {"sender": ""}),
        ("reject_rhsbl_recipient", {"recipient": "postmaster"}),
        ("reject_rhsbl_helo", {"helo": ""}),
        ("reject_rhsbl_helo", {"helo": "."}),
    ],
)
async def test_nothing_to_ask_about(rule: str, about: dict) -> None:
    dns = FakeDns()
    assert short(await ask(f"{rule} dbl.example", facts(**about), context(dns=dns))) == "dunno"
    assert dns.asked == []


@pytest.mark.parametrize("helo", ["bücher.example", "BÜCHER.example.", IDN.upper()])
async def test_lists_have_a_labels(helo: str) -> None:
    dns = FakeDns()
    await ask("reject_rhsbl_helo dbl.example", facts(helo=helo), context(dns=dns))
    assert dns.asked == [(f"{IDN}.dbl.example", "A")]


async def test_the_list_gives_its_reason() -> None:
    dns = FakeDns(A=ON_LIST, TXT={f"{NAME}.dbl.example": ["https://dbl.example/?bad"]})
    verdict = await ask("reject_rhsbl_helo dbl.example", facts(helo=NAME), context(dns=dns))
    assert str(verdict.reply) == (
        f"554 5.7.1 Service unavailable; Helo command [{NAME}] blocked using dbl.example; https://dbl.example/?bad"
    )
    assert verdict.evidence["lists"][0]["list"] == "dbl.example"


NAMED = {"PTR": {CLIENT: [NAME]}}
CONFIRMED = NAMED | {"A": {NAME: [CLIENT]}}


@pytest.mark.parametrize(
    ("client", "answers", "confirmed", "unconfirmed", "allowed"),
    [
        (CLIENT, {}, "dunno", "dunno", "dunno"),
        (CLIENT, CONFIRMED, "dunno", "dunno", "dunno"),
        (CLIENT, {"PTR": {CLIENT: [NAME]}, "A": {NAME: [CLIENT]} | ON_LIST}, LISTED, LISTED, "permit"),
        (
            CLIENT,
            {"PTR": {CLIENT: ["ok.example.net", NAME]}, "A": {NAME: [CLIENT]} | ON_LIST},
            LISTED,
            LISTED,
            "permit",
        ),
        (CLIENT, NAMED | {"A": ON_LIST}, "dunno", LISTED, "dunno"),
        (CLIENT, NAMED | {"A": {NAME: ["192.0.2.9"]} | ON_LIST}, "dunno", LISTED, "dunno"),
        (V6, {"PTR": {V6: [NAME]}, "AAAA": {NAME: [V6]}, "A": ON_LIST}, LISTED, LISTED, "permit"),
        (CLIENT, CONFIRMED | {"fail": {f"{NAME}.dbl.example"}}, "dunno", "dunno", LATER),
        (CLIENT, {"fail": {"7.113.0.203.in-addr.arpa"}}, "dunno", "dunno", "dunno"),
    ],
)
async def test_the_client(client: str, answers: dict, confirmed: str, unconfirmed: str, allowed: str) -> None:
    for rule, expected in {
        "reject_rhsbl_client": confirmed,
        "reject_rhsbl_reverse_client": unconfirmed,
        "permit_rhswl_client": allowed,
    }.items():
        verdict = await ask(f"{rule} dbl.example", facts(client=client), context(dns=FakeDns(**answers)))
        assert short(verdict) == expected, rule
        if expected == LISTED:
            kind = "Client host" if rule == "reject_rhsbl_client" else "Unverified Client host"
            assert verdict.reply.text == f"Service unavailable; {kind} [{NAME}] blocked using dbl.example"


async def test_a_trusted_server_tells_the_name() -> None:
    via = (Via("XCLIENT", ipaddress.ip_address("192.0.2.1"), 4711, name=NAME),)
    dns = FakeDns(A=ON_LIST)
    assert short(await ask("reject_rhsbl_client dbl.example", facts(via=via), context(dns=dns))) == LISTED
    assert ("7.113.0.203.in-addr.arpa", "PTR") not in dns.asked
