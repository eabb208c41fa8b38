"""Callouts: whom they ask, what the answers mean, and how often they are made."""

import asyncio
import ipaddress

import pytest

from smtpgate.phases.verification import Finding
from smtpgate.verify.callout import Callout, CalloutLimits, Rates, is_public
from tests.checks.asking import mailbox
from tests.fakes import Clock, FakeDns
from tests.loops import on_both_loops
from tests.relay.scripted import CLOSE, HANG, offering, scripted

YES, NO, NOBODY_KNOWS = Finding.DELIVERABLE, Finding.UNDELIVERABLE, Finding.UNKNOWN
SENDER = mailbox("a@example.net")
HERE = {"MX": {"example.net": ["10 mx.example.net"]}, "A": {"mx.example.net": ["127.0.0.1"]}}


def callout(server=None, zone=None, clock=None, **options):
    limits = CalloutLimits(**{"private": True, **options})
    port = int(server.url.rpartition(":")[2]) if server else 9
    return Callout(FakeDns(**(zone or HERE)), "mx.example.org", clock or Clock(), limits=limits, port=port)


async def hanging(server, ask, *addresses):
    """Callouts that a server does not answer."""
    callouts = []
    for address in addresses:
        server.reached.clear()
        callouts.append(asyncio.create_task(ask(mailbox(address))))
        await server.reached.wait()
    return callouts


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ({}, YES),
        ({"RCPT": b"550 5.1.1 Who?\r\n"}, NO),
        ({"RCPT": b"450 4.2.0 Greylisted\r\n"}, NOBODY_KNOWS),
        ({"MAIL": b"550 5.7.1 No bounces\r\n"}, NO),
        ({"MAIL": b"451 4.3.0 Later\r\n"}, NOBODY_KNOWS),
        ({"greeting": b"554 5.7.1 Not you\r\n"}, NOBODY_KNOWS),
        ({"greeting": b"nonsense\r\n"}, NOBODY_KNOWS),
        ({"greeting": CLOSE}, NOBODY_KNOWS),
        ({"RCPT": CLOSE}, NOBODY_KNOWS),
        ({"RCPT": b"421 4.3.2 Bye\r\n"}, NOBODY_KNOWS),
        ({"RCPT": b"354 What?\r\n"}, NOBODY_KNOWS),
        ({"EHLO": b"502 5.5.1 What?\r\n"}, YES),  # then HELO
    ],
)
async def test_answers(script, finding):
    async with scripted(script) as server:
        assert (await callout(server)(SENDER)).finding is finding


@on_both_loops
async def test_the_conversation():
    async with scripted() as server:
        found = await callout(server)(SENDER)
        await server.gone[0].wait()
    assert [line.decode().strip() for line in server.commands] == [
        "EHLO mx.example.org", "MAIL FROM:<>", "RCPT TO:<a@example.net>", "QUIT",
    ]  # fmt: skip
    assert found.evidence == {"server": "127.0.0.1", "answer": "250 2.1.5 Recipient ok"}


@pytest.mark.parametrize(("script", "finding"), [({}, YES), ({"EHLO": offering()}, NOBODY_KNOWS)])
async def test_an_address_in_another_script_needs_smtputf8(script, finding):
    async with scripted(script) as server:
        assert (await callout(server)(mailbox("bücher@example.net"))).finding is finding
    assert (b"MAIL FROM:<> SMTPUTF8\r\n" in server.commands) is (finding is YES)


@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT"])
async def test_a_server_that_hangs_costs_one_step(verb):
    async with scripted({verb: HANG}) as server:
        found = await callout(server, step=0.05)(SENDER)
        assert found.finding is NOBODY_KNOWS


async def test_all_of_it_has_a_deadline():
    async with scripted({"RCPT": HANG}) as server:
        found = await callout(server, timeout=0.05)(SENDER)
    assert found.evidence == {"not asked": "no answer within 0.05 s"}


@pytest.mark.parametrize(
    ("zone", "finding"),
    [
        ({}, NO),
        ({"MX": {"example.net": ["0 ."]}}, NO),
        ({"MX": {"example.net": ["10 mx.example.net"]}}, NO),
        ({"TXT": {"example.net": ["x"]}}, NO),
        ({"fail": {"example.net"}}, NOBODY_KNOWS),
        ({**HERE, "fail": {"mx.example.net"}}, NOBODY_KNOWS),
        (HERE, YES),
        ({"A": {"example.net": ["127.0.0.1"]}}, YES),
        # the preferred one first; who does not answer is passed over
        (
            {
                "MX": {"example.net": ["20 mx.example.net", "10 away.example.net"]},
                "A": {"mx.example.net": ["127.0.0.1"], "away.example.net": ["127.1.2.3"]},
            },
            YES,
        ),
        (
            {
                "MX": {"example.net": [f"{n} mx{n}.example.net" for n in range(4)]},
                "A": {"mx3.example.net": ["127.0.0.1"]},
            },
            NO,
        ),
    ],
)
async def test_whom_it_asks(zone, finding):
    async with scripted() as server:
        assert (await callout(server, zone or {"A": {}})(SENDER)).finding is finding


@pytest.mark.parametrize("private", [False, True])
async def test_nothing_of_our_own_is_asked_unless_allowed(private):
    async with scripted() as server:
        found = await callout(server, private=private)(SENDER)
        assert server.connections == private
    assert found.finding is (YES if private else NOBODY_KNOWS)


async def test_this_machine_is_not_asked_by_its_public_address():
    ours = ipaddress.ip_address("93.184.215.14")
    zone = FakeDns(MX=HERE["MX"], A={"mx.example.net": [str(ours)]})
    found = await Callout(zone, "mx.example.org", Clock(), ours=[ours], port=9)(SENDER)
    assert found.finding is NOBODY_KNOWS
    assert found.evidence["dns"][0].startswith("example.net MX: ")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", False),
        ("2002:a00:1::1", False),
        ("2001:0:a00:1::1", False),
        ("64:ff9b::a00:1", False),
        ("fec0::1", False),
        ("::7f00:1", False),
        ("::ffff:0:a00:1", False),
    ],
)
def test_public_addresses(address, public):
    assert is_public(ipaddress.ip_address(address)) is public


async def test_one_domain_is_not_asked_too_often():
    async with scripted() as server:
        ask = callout(server, rate=2)
        found = [await ask(mailbox(f"{user}@example.net")) for user in "abc"]
        assert server.connections == 2
    assert [verification.finding for verification in found] == [YES, YES, NOBODY_KNOWS]
    assert found[2].evidence == {"not asked": "2 callouts to example.net in this minute"}


async def test_one_server_is_not_asked_too_often_whatever_the_domains():
    zone = {"A": {f"{name}.example": ["127.0.0.1"] for name in "abc"}}
    async with scripted() as server:
        ask = callout(server, zone, rate=2)
        found = [(await ask(mailbox(f"x@{name}.example"))).finding for name in "abc"]
        assert server.connections == 2
    assert found == [YES, YES, NOBODY_KNOWS]


async def test_only_so_many_at_one_time():
    assert (await callout(at_once=0)(SENDER)).evidence == {"not asked": "0 callouts are under way"}


@on_both_loops
async def test_who_keeps_us_waiting_gives_way_when_all_places_are_taken():
    zone, clock = {"A": {f"{name}.example": ["127.0.0.1"] for name in "abc"}}, Clock()
    async with scripted({"greeting": [HANG, HANG, b"220 scripted\r\n"]}) as server:
        ask = callout(server, zone, clock, at_once=2)
        first, second = await hanging(server, ask, "x@a.example", "x@b.example")
        clock.advance(4)
        assert (await ask(mailbox("x@c.example"))).evidence == {"not asked": "2 callouts are under way"}
        clock.advance(1)
        assert (await ask(mailbox("x@c.example"))).finding is YES
        assert (await first).evidence == {"not asked": "it gave way to others"}
        assert not second.done()
        second.cancel()


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        (["example.net"] * 5, {"not asked": "4 callouts to example.net are under way"}),
        ([f"{name}.example" for name in "abcde"], {"127.0.0.1": "4 callouts to it are under way"}),
    ],
)
async def test_one_domain_or_server_takes_few_places(domains, said):
    zone = {"A": {domain: ["127.0.0.1"] for domain in domains}}
    async with scripted({"greeting": [HANG] * 4 + [b"220 scripted\r\n"]}) as server:
        ask = callout(server, zone)
        *most, last = [f"{number}@{domain}" for number, domain in enumerate(domains)]
        callouts = await hanging(server, ask, *most)
        assert (await ask(mailbox(last))).evidence == said
        callouts[0].cancel()
        await asyncio.wait(callouts[:1])
        assert (await ask(mailbox(last))).finding is YES
        for one in callouts:
            one.cancel()


def test_rates_hold_for_a_minute_and_are_bounded():
    clock = Clock()
    rates = Rates(1, clock, most_keys=2)
    assert [rates.take(key) for key in ("a", "a", "b", "c")] == [True, False, True, False]
    clock.advance(60)
    assert rates.take("a")
