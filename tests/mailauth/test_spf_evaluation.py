import asyncio
import ipaddress
from typing import Any

import pytest

from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.mailauth.spf import SpfResult, evaluate_spf, received_spf
from tests.fakes import FakeDns
from tests.loops import turns_of_others

INSIDE, OUTSIDE, SIX = "192.0.2.1", "198.51.100.9", "2001:db8::1"
MANY_INCLUDES = {f"i{n}.org": [f"v=spf1 include:i{n + 1}.org -all"] for n in range(20)}


async def evaluate(dns: Any, client: str = INSIDE, sender: str = "ann@example.org", **more: Any) -> SpfResult:
    return await evaluate_spf(
        dns, ipaddress.ip_address(client), more.pop("helo", "client.example.net"), sender, "mx.example.com", **more
    )


@pytest.mark.parametrize(
    ("record", "client", "result"),
    [
        # mechanisms
        ("v=spf1 -all", INSIDE, "fail"),
        ("v=spf1 ~all", INSIDE, "softfail"),
        ("v=spf1 ?all", INSIDE, "neutral"),
        ("v=spf1 +all", INSIDE, "pass"),
        ("v=spf1", INSIDE, "neutral"),
        ("v=spf1 ip4:192.0.2.0/24 -all", INSIDE, "pass"),
        ("v=spf1 ip4:192.0.2.0/24 -all", OUTSIDE, "fail"),
        ("v=spf1 ip4:0.0.0.0/0 -all", OUTSIDE, "pass"),
        ("v=spf1 ip4:192.0.2.0/24 -all", "::ffff:192.0.2.7", "pass"),
        ("v=spf1 ip6:2001:db8::/32 -all", SIX, "pass"),
        ("v=spf1 ip6:2001:db8::/32 -all", INSIDE, "fail"),
        ("v=spf1 ip6:fe80::/10 -all", "fe80::1%eth0", "pass"),
        ("v=spf1 a:host.org -all", INSIDE, "pass"),
        ("v=spf1 a:host.org -all", OUTSIDE, "fail"),
        ("v=spf1 a:host.org//64 -all", SIX, "fail"),
        ("v=spf1 a:six.org//64 -all", SIX, "pass"),
        ("v=spf1 mx -all", INSIDE, "pass"),
        ("v=spf1 mx:null.org -all", INSIDE, "fail"),
        ("v=spf1 mx:eleven.org -all", INSIDE, "permerror"),
        ("v=spf1 ptr:host.org -all", INSIDE, "pass"),
        ("v=spf1 ptr:host.org -all", OUTSIDE, "fail"),
        ("v=spf1 exists:%{ir}.%{l}.list.org -all", INSIDE, "pass"),
        ("v=spf1 exists:%{ir}.%{l}.list.org -all", OUTSIDE, "fail"),
        ("v=spf1 a:%{p} -all", INSIDE, "pass"),
        ("v=spf1 include:inner.org -all", INSIDE, "pass"),
        ("v=spf1 include:inner.org ?all", OUTSIDE, "neutral"),
        ("v=spf1 include:nothing.org -all", INSIDE, "permerror"),
        ("v=spf1 redirect=inner.org", OUTSIDE, "fail"),
        ("v=spf1 redirect=nothing.org", INSIDE, "permerror"),
        # records in error
        ("v=spf1 moo -all", INSIDE, "permerror"),
        ("v=spf1 ip4:192.0.2.300 -all", INSIDE, "permerror"),
        ("v=spf1 ip4:192.0.2.1\n -all", INSIDE, "permerror"),
        ("v=spf1 a:%{x}.org -all", INSIDE, "permerror"),
        ("v=spf1 include:example.org -all", INSIDE, "permerror"),
        (b"v=spf1 a:m\xfcnchen.org -all", INSIDE, "permerror"),
        ("v=spf1 include:i0.org -all", INSIDE, "permerror"),
        ("v=spf1 a:no1.org a:no2.org a:host.org -all", INSIDE, "pass"),
        ("v=spf1 a:no1.org a:no2.org a:no3.org a:host.org -all", INSIDE, "permerror"),
        ("v=spf1 mx:host.org mx:mx.org mx:six.org a:host.org -all", INSIDE, "permerror"),
        ("v=spf1 a:no1.org a:no2.org a:no3.org ip6:2001:db8::/32 -all", SIX, "permerror"),
        ("v=spf1 a:no1.org a:no1.org a:no1.org a:no1.org a:host.org -all", INSIDE, "pass"),
        ("v=spf1 x=" + "y" * 300 + " -all", INSIDE, "permerror"),
        ("v=spf1 " + "ip4:10.0.0.1 " * 700 + "-all", INSIDE, "permerror"),
        ("v=spf10 -all", INSIDE, "none"),
        # look-ups that fail
        ("v=spf1 ptr:six.org -all", SIX, "pass"),
        ("v=spf1 a:broken.org -all", INSIDE, "temperror"),
        ("v=spf1 include:broken.org -all", INSIDE, "temperror"),
        ("v=spf1 ip4:192.0.2.1 a:broken.org -all", INSIDE, "pass"),
        ("v=spf1 ptr:host.org -all", "203.0.113.5", "fail"),
    ],
)
async def test_result(record: str | bytes, client: str, result: str) -> None:
    dns = FakeDns(
        TXT={"example.org": ["another text", record], "inner.org": ["v=spf1 ip4:192.0.2.1 -all"], **MANY_INCLUDES},
        A={
            "host.org": [INSIDE],
            "mx.org": [INSIDE],
            "1.2.0.192.ann.list.org": ["127.0.0.2"],
            **{f"mx{n}.org": [OUTSIDE] for n in range(11)},
        },
        AAAA={"six.org": ["2001:db8::99", SIX]},
        MX={"example.org": ["10 mx.org"], "null.org": ["0 ."], "eleven.org": [f"{n} mx{n}.org" for n in range(11)]},
        PTR={INSIDE: ["host.org"], OUTSIDE: ["host.org"], SIX: ["broken.org", "six.org"]},
        fail={"broken.org", "5.113.0.203.in-addr.arpa"},
    )
    assert (await evaluate(dns, client)).result == result


@pytest.mark.parametrize(
    ("sender", "helo", "result", "identity", "asked"),
    [
        ("", "helo.org", "fail", "helo", "helo.org"),
        ("ann@EXAMPLE.org", "helo.org", "pass", "mailfrom", "example.org"),
        ("a@b@example.org", "helo.org", "pass", "mailfrom", "example.org"),
        ("ann@unknown.org", "helo.org", "none", "mailfrom", "unknown.org"),
        # RFC 7208 §4.3: what is no domain name is not asked for.
        ("", "[192.0.2.1]", "none", "helo", None),
        ("", "localhost", "none", "helo", None),
        ("", "", "none", "helo", None),
        ("ann@[192.0.2.1]", "helo.org", "none", "mailfrom", None),
        ("ann@" + "x" * 64 + ".org", "helo.org", "none", "mailfrom", None),
        ("ann@" + "x." * 150 + "org", "helo.org", "none", "mailfrom", None),
        ("ann@a..org", "helo.org", "none", "mailfrom", None),
    ],
)
async def test_whose_record_is_asked(sender: str, helo: str, result: str, identity: str, asked: str | None) -> None:
    dns = FakeDns(
        TXT={"helo.org": ["v=spf1 -all"], "example.org": ["v=spf1 exists:%{o} -all"]}, A={"example.org": [SIX]}
    )
    answer = await evaluate(dns, sender=sender, helo=helo)
    assert (answer.result, answer.identity) == (result, identity)
    assert dns.asked[:1] == ([(asked, "TXT")] if asked else [])
    assert asked in (None, answer.domain)


async def test_a_null_sender_is_postmaster() -> None:
    dns = FakeDns(TXT={"helo.org": ["v=spf1 exists:%{l}.%{o} -all"]}, A={"postmaster.helo.org": [INSIDE]})
    assert (await evaluate(dns, sender="", helo="helo.org")).result == "pass"


async def test_hosts_without_aaaa_are_no_void_lookups_for_an_ipv6_client() -> None:
    hosts = {f"v4-{n}.org": [INSIDE] for n in range(5)}
    mechanisms = " ".join(f"a:{host}" for host in hosts)
    dns = FakeDns(TXT={"example.org": [f"v=spf1 {mechanisms} ip6:2001:db8::/32 -all"]}, A=hosts)
    assert (await evaluate(dns, SIX)).result == "pass"


async def test_a_non_ascii_local_part_never_matches() -> None:
    dns = FakeDns(TXT={"example.org": ["v=spf1 exists:%{l}.example.org ?all"]})
    answer = await evaluate(dns, sender="jörg@example.org")
    assert (answer.result, dns.asked) == ("neutral", [("example.org", "TXT")])


async def test_the_leftmost_labels_of_a_long_name_are_dropped() -> None:
    # RFC 7208 §7.3. Labels of four octets each before a domain of 13: 253 octets can be reached exactly.
    dns = FakeDns(TXT={"3.example.org": ["v=spf1 a:" + "%{l}." * 8 + "3.example.org -all"]})
    local = ".".join(["abc"] * 15)
    answer = await evaluate(dns, sender=f"{local}@3.example.org")
    name = answer.lookups[-1].name
    assert (f".{local}" * 8 + ".3.example.org").endswith("." + name)
    assert len(name) == 253


async def test_an_explanation_is_never_fetched() -> None:
    dns = FakeDns(TXT={"example.org": ["v=spf1 -all exp=why.example.org"], "why.example.org": ["go away"]})
    assert (await evaluate(dns)).result == "fail"
    assert dns.asked == [("example.org", "TXT")]


async def test_the_questions_of_an_expensive_record_are_bounded() -> None:
    exchangers = {f"m{n}.org": [f"{k} x{n}-{k}.org" for k in range(10)] for n in range(30)}
    dns = FakeDns(
        TXT={"example.org": ["v=spf1 " + " ".join(f"mx:{name}" for name in exchangers) + " -all"]},
        MX=exchangers,
        A={f"x{n}-{k}.org": [OUTSIDE] for n in range(30) for k in range(10)},
    )
    answer = await evaluate(dns)
    assert answer.result == "permerror"
    assert len(dns.asked) == 1 + 10 * 11  # RFC 7208 §4.6.4


async def test_others_have_their_turn_though_all_answers_are_there() -> None:
    # RFC 7208 §4.6.4: ten look-ups
    assert await turns_of_others(evaluate(FakeDns(TXT=MANY_INCLUDES), sender="ann@i0.org")) >= 8


async def test_the_result_tells_what_was_asked_and_what_matched() -> None:
    dns = FakeDns(TXT={"example.org": ["v=spf1 a:host.org -all"]}, A={"host.org": [INSIDE]})
    answer = await evaluate(dns)
    assert answer.mechanism == "a:host.org"
    assert [(asked.name, asked.status) for asked in answer.lookups] == [
        ("example.org", Status.ANSWER),
        ("host.org", Status.ANSWER),
    ]


async def test_errors_say_what_is_wrong() -> None:
    dns = FakeDns(TXT={"example.org": ["v=spf1 moo -all"]}, fail={"broken.org"})
    assert "moo" in (await evaluate(dns)).problem
    assert (await evaluate(dns, sender="a@broken.org")).problem == "lookup of broken.org TXT failed"


@pytest.mark.parametrize("record", ["v=spf1 a:silent.org -all", "v=spf1 exp=%{p}.org -all", "v=spf1 ptr -all"])
async def test_a_resolver_that_never_answers_meets_the_deadline(record: str) -> None:
    never = asyncio.Event()
    names = ("silent.org", "1.2.0.192.in-addr.arpa")
    dns = FakeDns(TXT={"example.org": [record]}, gate=dict.fromkeys(names, never))
    answer = await evaluate(dns, deadline=0.01)
    assert (answer.result, answer.problem) == ("temperror", "no result within 0.01 s")


async def test_it_can_be_cancelled() -> None:
    asked = asyncio.Event()

    class Silent:
        async def query(self, name: str, kind: RecordType) -> Answer:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    task = asyncio.create_task(evaluate(Silent()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_evaluations_do_not_mix() -> None:
    gate = asyncio.Event()
    dns = FakeDns(TXT={"one.org": ["v=spf1 -all"], "two.org": ["v=spf1 ~all"]}, gate={"one.org": gate})
    first = asyncio.create_task(evaluate(dns, sender="a@one.org"))
    second = await evaluate(dns, sender="a@two.org")
    gate.set()
    assert (second.result, (await first).result) == ("softfail", "fail")


async def test_an_unforeseen_error_is_a_temperror(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def query(self, name: str, kind: RecordType) -> Answer:
            raise RuntimeError("secret")

    answer = await evaluate(Broken())
    assert (answer.result, answer.problem) == ("temperror", "internal error")
    assert "secret" in caplog.text


async def test_received_spf() -> None:
    dns = FakeDns(TXT={"example.org": ["v=spf1 ip4:192.0.2.0/24 -all"]})
    client = ipaddress.ip_address(INSIDE)
    body = received_spf(await evaluate(dns), client, "c.example.net", "ann@example.org", "mx.example.com")
    assert body.split("\r\n\t") == [
        "pass (mx.example.com: domain of example.org designates 192.0.2.1 as permitted sender)",
        "client-ip=192.0.2.1;",
        'envelope-from="ann@example.org";',
        "helo=c.example.net;",
        "receiver=mx.example.com;",
        "identity=mailfrom;",
        'mechanism="ip4:192.0.2.0/24"',
    ]


def test_received_spf_quotes_what_strangers_say() -> None:
    evil = 'x"; receiver=mx\r\nSubject: (forged\\ \x00é' + "y" * 2000
    result = SpfResult("permerror", evil, "mailfrom", evil, evil)
    body = received_spf(result, ipaddress.ip_address(SIX), evil, evil, "mx.example.com")
    lines = body.split("\r\n\t")
    assert len(lines) == 8
    assert all(line.isascii() and line.isprintable() and len(line) < 998 for line in lines)
    assert all(line.count('"') - line.count('\\"') in (0, 2) for line in lines[1:])
    assert lines[0].count("(") == lines[0].count(")") == 1
