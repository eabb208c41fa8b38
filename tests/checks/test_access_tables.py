"""check_*_access: which keys are looked up, and what becomes of what is found."""

import ipaddress
from typing import Any

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.phases.access_table import AccessTable, TableUse
from smtpgate.phases.facts import ClientCertificate, TlsFacts, Via
from smtpgate.phases.phase import Phase
from smtpgate.phases.verdict import Action
from smtpgate.tables.files import parse_table
from smtpgate.tables.keys import Key
from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns

NAMED = FakeDns(
    PTR={
        "203.0.113.7": ["mx.client.example"],
        "203.0.113.8": ["forged.example"],
        "2001:db8::7": ["six.client.example"],
    },
    A={"mx.client.example": ["203.0.113.7"], "forged.example": ["192.0.2.99"]},
    AAAA={"six.client.example": ["2001:db8::7"]},
)


async def said(rule: str, table: dict[str, str], ctx: Any = None, **who: Any) -> str:
    """What a rule answers: the reply, without what all end with, or a word."""
    verdict = await ask(rule, facts(**who), ctx or context(dns=NAMED), table=table)
    return str(verdict.reply).removesuffix(" rejected: Access denied") if verdict.reply else verdict.action.value


@pytest.mark.parametrize(
    ("table", "client", "expected"),
    [
        ({}, "203.0.113.7", "dunno"),
        ({"mx.client.example": "OK"}, "203.0.113.7", "permit"),
        ({"client.example": "OK"}, "203.0.113.7", "permit"),
        ({"EXAMPLE": "OK"}, "203.0.113.7", "permit"),
        ({"203.0.113.7": "OK"}, "203.0.113.7", "permit"),
        ({"203.0.113": "OK"}, "203.0.113.7", "permit"),
        ({"203": "OK"}, "203.0.113.7", "permit"),
        ({"3.0.113.7": "OK"}, "203.0.113.7", "dunno"),
        ({"203.0.113": "REJECT", "203.0.113.7": "OK"}, "203.0.113.7", "permit"),
        ({"203.0.113.7": "DUNNO", "203.0.113": "REJECT"}, "203.0.113.7", "dunno"),
        # As in Postfix: a name is looked up first, even a parent domain of it.
        ({"203": "OK", "example": "REJECT"}, "203.0.113.7", "554 5.7.1 <mx.client.example[203.0.113.7]>: Client host"),
        ({"forged.example": "OK"}, "203.0.113.8", "dunno"),
        ({"unknown": "REJECT who"}, "203.0.113.8", "554 5.7.1 <unknown[203.0.113.8]>: Client host rejected: who"),
        ({"unknown": "REJECT"}, "203.0.113.7", "dunno"),
        ({"203.0": "REJECT"}, "203.0.113.8", "554 5.7.1 <[203.0.113.8]>: Client host"),
        ({"2001:db8": "OK"}, "2001:db8::7", "permit"),
        ({"2001:db8::7": "OK"}, "2001:db8::7", "permit"),
        ({"client.example": "OK"}, "2001:db8::7", "permit"),
    ],
)  # fmt: skip
async def test_check_client_access(table: dict[str, str], client: str, expected: str) -> None:
    assert await said("check_client_access", table, client=client) == expected


async def test_check_client_access_asks_the_dns_only_for_names() -> None:
    dns = FakeDns()
    await said("check_client_access", {"203.0": "OK", "2001:db8": "OK"}, context(dns=dns))
    assert dns.asked == []


@pytest.mark.parametrize(
    ("fail", "expected"), [([], "permit"), (["203.0.113.7"], "dunno"), (["mx.client.example"], "dunno")]
)
async def test_check_client_access_when_the_dns_fails(fail: list[str], expected: str) -> None:
    failing = {"203.0.113.7": "7.113.0.203.in-addr.arpa"}
    dns = FakeDns(
        PTR={"203.0.113.7": ["mx.client.example"]}, A={"mx.client.example": ["203.0.113.7"]},
        fail=[failing.get(name, name) for name in fail],
    )  # fmt: skip
    assert await said("check_client_access", {"client.example": "OK"}, context(dns=dns)) == expected


async def test_check_client_access_takes_the_name_that_a_trusted_server_tells() -> None:
    tx = facts()
    tx.session.via = (Via("XCLIENT", tx.session.client_address, 25, name="Told.Example"),)
    verdict = await ask("check_client_access", tx, context(), table={"told.example": "OK"})
    assert short(verdict) == "permit"


@pytest.mark.parametrize(
    ("table", "client", "expected"),
    [
        ({"forged.example": "REJECT"}, "203.0.113.8", "554 5.7.1 <forged.example>: Unverified Client host"),
        ({"example": "DEFER"}, "203.0.113.7", "450 4.7.1 <mx.client.example>: Unverified Client host"),
        ({"203.0": "REJECT"}, "203.0.113.9", "554 5.7.1 <unknown>: Unverified Client host"),
        ({"unknown": "REJECT"}, "203.0.113.8", "dunno"),
    ],
)  # fmt: skip
async def test_check_reverse_client_hostname_access(table: dict[str, str], client: str, expected: str) -> None:
    assert await said("check_reverse_client_hostname_access", table, client=client) == expected


@pytest.mark.parametrize(
    ("table", "helo", "expected"),
    [
        ({"mail.example": "REJECT"}, "mail.example", "554 5.7.1 <mail.example>: Helo command"),
        ({"example": "REJECT 5.1.1 no"}, "MAIL.Example", "554 5.0.0 <MAIL.Example>: Helo command rejected: no"),
        ({"[192.0.2.1]": "OK"}, "[192.0.2.1]", "permit"),
        ({"192.0.2": "OK"}, "192.0.2.1", "dunno"),
        ({"example": "OK"}, "mail.example.", "dunno"),
        ({"x": "OK"}, "", "dunno"),
    ],
)
async def test_check_helo_access(table: dict[str, str], helo: str, expected: str) -> None:
    assert await said("check_helo_access", table, helo=helo) == expected


MAIL = [
    ({"a@b.example": "OK"}, "a@b.example", "permit"),
    ({"a@b.example": "OK"}, "A@B.example", "permit"),
    ({"b.example": "OK"}, "a@b.example", "permit"),
    ({"example": "OK"}, "a@b.example", "permit"),
    ({".example": "OK"}, "a@b.example", "dunno"),
    ({"a@": "OK"}, "a@b.example", "permit"),
    ({"a@": "REJECT", "example": "OK"}, "a@b.example", "permit"),
    ({"a@b.example": "DUNNO", "b.example": "REJECT"}, "a@b.example", "dunno"),
    ({"a@b.example": "OK"}, "a+x@b.example", "dunno"),
    ({"bücher.example": "OK"}, "a@xn--bcher-kva.example", "permit"),
    ({"[192.0.2.1]": "OK"}, "a@[192.0.2.1]", "permit"),
]


@pytest.mark.parametrize(("table", "address", "expected"), MAIL)
async def test_mail_addresses(table: dict[str, str], address: str, expected: str) -> None:
    """check_sender_access, check_recipient_access."""
    assert await said("check_sender_access", table, sender=address) == expected
    assert await said("check_recipient_access", table, recipient=address) == expected


@pytest.mark.parametrize(
    ("dotted", "delimiter", "table", "expected"),
    [
        (True, "", {".example": "OK"}, "permit"),
        (True, "", {"example": "OK"}, "dunno"),
        (False, "+", {"a@b.example": "OK"}, "permit"),
        (False, "-", {"a@b.example": "OK"}, "dunno"),
        (False, "+", {"a+x@": "DUNNO", "a@": "OK"}, "dunno"),
    ],
)
async def test_mail_addresses_as_configured(dotted: bool, delimiter: str, table: dict[str, str], expected: str) -> None:
    ctx = context(dotted_parents=dotted, recipient_delimiter=delimiter)
    assert await said("check_sender_access", table, ctx, sender="a+x@b.example") == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"<>": "REJECT no bounces"}, "554 5.7.1 <>: Sender address rejected: no bounces"),
        ({"@": "REJECT"}, "dunno"),
        ({"<>": "450 4.1.1 later"}, "450 4.1.7 <>: Sender address rejected: later"),
    ],
)
async def test_the_null_sender(table: dict[str, str], expected: str) -> None:
    assert await said("check_sender_access", table, sender="") == expected


@pytest.mark.parametrize(
    ("recipient", "result", "expected"),
    [
        ("b@example.org", "OK", "permit"),
        ("b%elsewhere.example@example.org", "OK", "dunno"),
        ("elsewhere.example!b@example.org", "OK", "dunno"),
        ("b%elsewhere.example@example.org", "REJECT", "554 5.7.1 <b%elsewhere.example@example.org>: Recipient address"),
        ("postmaster", "REJECT", "dunno"),
    ],
)  # fmt: skip
async def test_a_table_lets_nobody_route_onwards(recipient: str, result: str, expected: str) -> None:
    assert await said("check_recipient_access", {"example.org": result}, recipient=recipient) == expected


SERVERS = FakeDns(
    MX={
        "good.example": ["10 mx.good.example"], "bad.example": ["10 a.bad.test", "20 b.bad.test"],
        "null.example": ["0 ."], "numeric.example": ["10 192.0.2.66"], "gone.example": ["10 nowhere.example"],
    },
    NS={"good.example": ["ns.good.example"], "bad.example": ["ns.bad.test"], "test": ["ns.top.test"]},
    A={
        "mx.good.example": ["198.51.100.1"], "a.bad.test": ["192.0.2.1"], "b.bad.test": ["127.0.0.1"],
        "ns.good.example": ["198.51.100.2"], "ns.bad.test": ["192.0.2.2"], "ns.top.test": ["192.0.2.3"],
        "bad.example": ["192.0.2.4"], "good.example": ["198.51.100.4"], "alone.example": ["192.0.2.5"],
    },
    AAAA={"six.example": ["2001:db8::bad"]},
    fail=["broken.example"],
)  # fmt: skip
BAD = {"192.0.2": "REJECT"}
DOMAINS = [
    # domain, table, and whether each of a, mx and ns is refused
    ("good.example", BAD, ""),
    ("bad.example", BAD, "a mx ns"),
    ("bad.example", {"bad.test": "REJECT"}, "mx ns"),
    ("bad.example", {"bad.example": "REJECT"}, ""),
    ("bad.example", {"127": "REJECT"}, "mx"),
    ("bad.example", {"a.bad.test": "DUNNO", "127": "REJECT"}, ""),
    ("alone.example", BAD, "a mx"),
    ("alone.example", {"alone.example": "REJECT"}, "mx"),
    ("six.example", {"2001:db8": "REJECT"}, "a mx"),
    ("null.example", {"null.example": "REJECT", **BAD}, ""),
    ("gone.example", {"nowhere.example": "REJECT"}, "mx"),
    ("deep.below.test", {"192.0.2.3": "REJECT"}, "ns"),
    ("broken.example", {"broken.example": "REJECT", "example": "REJECT", **BAD}, ""),
    ("[192.0.2.1]", BAD, "a mx"),
    ("[IPv6:2001:db8::1]", {"2001:db8": "REJECT"}, "a mx"),
]


@pytest.mark.parametrize("kind", ["a", "mx", "ns"])
@pytest.mark.parametrize(("domain", "table", "refused"), DOMAINS)
async def test_servers(kind: str, domain: str, table: dict[str, str], refused: str) -> None:
    """check_{sender,recipient,helo}_{a,mx,ns}_access.

    check_sender_a_access, check_sender_mx_access, check_sender_ns_access, check_recipient_a_access,
    check_recipient_mx_access, check_recipient_ns_access, check_helo_a_access, check_helo_mx_access,
    check_helo_ns_access.
    """
    ctx = context(dns=SERVERS)
    denied = kind in refused.split()
    about = {
        "sender": (f"a@{domain}", "Sender address"),
        "recipient": (f"b@{domain}", "Recipient address"),
        "helo": (domain, "Helo command"),
    }
    for subject, (name, called) in about.items():
        reply = f"554 5.7.1 <{name}>: {called}"
        got = await said(f"check_{subject}_{kind}_access", table, ctx, **{subject: name})
        assert got == (reply if denied else "dunno"), subject


@pytest.mark.parametrize(
    ("rule", "client", "expected"),
    [
        ("check_client_a_access", "203.0.113.7", "554 5.7.1 <bad.example[203.0.113.7]>: Client host"),
        ("check_client_mx_access", "203.0.113.7", "554 5.7.1 <bad.example[203.0.113.7]>: Client host"),
        ("check_client_ns_access", "203.0.113.7", "554 5.7.1 <bad.example[203.0.113.7]>: Client host"),
        ("check_client_a_access", "203.0.113.8", "dunno"),
        ("check_client_mx_access", "203.0.113.8", "dunno"),
        ("check_client_ns_access", "203.0.113.9", "dunno"),
        ("check_reverse_client_hostname_a_access", "203.0.113.8", "554 5.7.1 <bad.example>: Unverified Client host"),
        ("check_reverse_client_hostname_mx_access", "203.0.113.8", "554 5.7.1 <bad.example>: Unverified Client host"),
        ("check_reverse_client_hostname_ns_access", "203.0.113.8", "554 5.7.1 <bad.example>: Unverified Client host"),
        ("check_reverse_client_hostname_ns_access", "203.0.113.9", "dunno"),
    ],
)  # fmt: skip
async def test_servers_of_clients(rule: str, client: str, expected: str) -> None:
    dns = FakeDns(
        PTR={"203.0.113.7": ["bad.example"], "203.0.113.8": ["bad.example"]},
        A={"bad.example": ["203.0.113.7", "192.0.2.4"], "mx.test": ["192.0.2.1"]},
        MX={"bad.example": ["10 mx.test"]},
        NS={"bad.example": ["mx.test"]},
    )
    assert await said(rule, BAD, context(dns=dns), client=client) == expected


@pytest.mark.parametrize("kind", ["a", "mx", "ns"])
@pytest.mark.parametrize("who", [{"sender": ""}, {"helo": ""}])
async def test_who_has_no_domain_is_passed_over(kind: str, who: dict[str, str]) -> None:
    subject = next(iter(who))
    assert await said(f"check_{subject}_{kind}_access", {"192": "REJECT"}, context(dns=SERVERS), **who) == "dunno"


async def test_a_domain_with_many_servers_is_looked_at_within_bounds() -> None:
    hosts = [f"mx{number}.example" for number in range(300)]
    dns = FakeDns(MX={"many.example": [f"10 {host}" for host in hosts]}, A={host: ["192.0.2.1"] for host in hosts})
    await said("check_sender_mx_access", {"x": "REJECT"}, context(dns=dns), sender="a@many.example")
    assert len(dns.asked) < 50


@pytest.mark.parametrize(
    ("domain", "zone", "asked"),
    [
        ("a." * 120 + "example", None, 11),
        ("a." * 120 + "example", "a." * 9 + "example", 2),
        ("a." * 120 + "example", "example", 11),
        ("a." * 120 + "example", "a." * 120 + "example", 1),
        ("a.b.c.d.example", "example", 5),
        ("example", None, 1),
    ],
)
async def test_the_zone_of_a_name_with_many_labels_is_looked_for_within_bounds(
    domain: str, zone: str | None, asked: int
) -> None:
    dns = FakeDns(NS={zone: ["ns.bad.test"]} if zone else {})
    expected = "554 5.7.1 <client.example.net>: Helo command" if zone else "dunno"
    got = await said("check_helo_ns_access", {"ns.bad.test": "REJECT"}, context(dns=dns), helo=domain)
    assert got == expected.replace("client.example.net", domain)
    assert sum(kind == "NS" for _, kind in dns.asked) == asked


async def test_what_was_found_is_in_the_record() -> None:
    ctx = context(dns=SERVERS)
    verdict = await ask("check_sender_mx_access", facts(sender="a@bad.example"), ctx, table={"bad.test": "DUNNO yes"})
    assert {"key": "bad.test", "result": "DUNNO yes"}.items() <= dict(verdict.evidence).items()
    assert verdict.evidence["dns"][0].startswith("bad.example MX: ")


CERTIFICATE = ClientCertificate("Anna", "CA", "0A:1B", "2C:3D")


@pytest.mark.parametrize(
    ("certificate", "table", "expected"),
    [
        (CERTIFICATE, {"0A:1B": "OK"}, "permit"),
        (CERTIFICATE, {"2c:3d": "OK"}, "permit"),
        (CERTIFICATE, {"0A:1B": "REJECT", "2C:3D": "OK"}, "554 5.7.1 <Anna>: Client certificate"),
        (CERTIFICATE, {"0A": "OK", "Anna": "OK"}, "dunno"),
        (ClientCertificate("", "", "0A:1B", ""), {"0A:1B": "OK"}, "permit"),
        (None, {"0A:1B": "OK"}, "dunno"),
    ],
)
async def test_check_ccert_access(certificate: ClientCertificate | None, table: dict[str, str], expected: str) -> None:
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, None, certificate)
    assert await said("check_ccert_access", table, tls=tls) == expected


@pytest.mark.parametrize("name", sorted(name for name in REGISTRY if name.endswith("_access")))
async def test_rules_that_a_table_names_speak_of_what_was_looked_up(name: str) -> None:
    dns = FakeDns(PTR={"203.0.113.7": ["a.example"]}, A={"a.example": ["203.0.113.7"]}, NS={"example": ["a.example"]})
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, None, CERTIFICATE)
    who = {"helo": "a.example", "sender": "a@a.example", "recipient": "b@a.example", "tls": tls}
    who["via"] = (Via("XCLIENT", ipaddress.ip_address("192.0.2.9"), 4711, login="anna"),)
    lists = f'rcpt = ["reject_unauth_destination", "{name} static:REJECT", "{name} static:rejecting"]'
    base = '[[listener]]\naddress = "127.0.0.1:25"\n[relay]\nurl = "maildir:x"\n'
    config = f'{base}[classes]\nrejecting = ["reject"]\n[phases]\n{lists}'
    _guard, result, rule = load(config, REGISTRY).phases[Phase.RCPT]
    tx, ctx = facts(**who), context(dns=dns)
    by_result = await result.check(tx, ctx)
    (named,) = (await rule.check(tx, ctx)).rules
    by_rule = await named.check(tx, ctx)
    assert str(by_result.reply).endswith(" rejected: Access denied")
    assert str(by_rule.reply).partition(">: ")[2] == str(by_result.reply).partition(">: ")[2]


@pytest.mark.parametrize("result", ["BCC $1@example.net", "REDIRECT $1@example.net", "PREPEND X-$1: x"])
async def test_words_of_a_stranger_that_make_a_result_impossible(result: str) -> None:
    read = parse_table("pcre", f"/^(.*)@example\\.org$/ {result}\n")
    use = TableUse(AccessTable("pcre:x", read.table))
    assert (read.problems, use.problems(read.table)) == ([], [])
    found = await use.find([Key('"a b"@example.org')], context())
    assert found is not None
    assert (found.result.action, found.result.deed, found.rules) == (Action.DUNNO, None, ())
    assert found.result.text.startswith(f"not done: {result.split()[0]} needs ")


@pytest.mark.parametrize(
    ("login", "table", "expected"),
    [
        (None, {"anna": "REJECT"}, "dunno"),
        ("", {"anna": "REJECT"}, "dunno"),
        ("anna", {"anna": "REJECT"}, "554 5.7.1 <anna>: SASL login name"),
        ("Anna", {"anna": "OK"}, "permit"),
        ("anna@example.org", {"anna@": "REJECT", "example.org": "REJECT"}, "dunno"),
        ("berta", {"anna": "REJECT"}, "dunno"),
    ],
)
async def test_check_sasl_access(login: str | None, table: dict[str, str], expected: str) -> None:
    """AUTH is not offered yet: a trusted server tells who has logged in."""
    via = (Via("XCLIENT", ipaddress.ip_address("192.0.2.9"), 4711, login=login),)
    assert await said("check_sasl_access", table, via=via) == expected
    assert await said("check_sasl_access", table) == "dunno"


@pytest.mark.parametrize("name", [name for name in REGISTRY if name.endswith("_access")])
async def test_ok_is_not_allowed_for_names_that_strangers_choose(name: str) -> None:
    strangers = name.endswith(("_a_access", "_mx_access", "_ns_access")) or "reverse" in name
    options = REGISTRY[name].options
    assert options is not None
    table = options.__dataclass_fields__["table"].metadata["parse"]({"x": "OK"})
    if strangers:
        with pytest.raises(ValueError, match="OK is not allowed"):
            table.read("OK")
    else:
        table.read("OK")
