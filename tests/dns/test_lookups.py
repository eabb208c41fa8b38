import asyncio
import ipaddress
import json

import pytest

from smtpgate.dns.lookups import Confirmation, confirmed_names, mail_hosts, reverse_names
from smtpgate.dns.resolver import Status
from tests.fakes import FakeDns

V4 = ipaddress.ip_address("192.0.2.1")
V6 = ipaddress.ip_address("2001:db8::1")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ({"MX": {"d": ["10 mx.d"]}}, "exists"),
        ({"MX": {"d": ["0 ."]}}, "null_mx"),
        ({"MX": {"d": ["0 .", "10 mx.d"]}}, "exists"),
        ({"A": {"d": ["192.0.2.1"]}}, "exists"),
        ({"AAAA": {"d": ["2001:db8::1"]}}, "exists"),
        ({"CNAME": {"d": "e"}, "MX": {"e": ["10 mx.e"]}}, "exists"),
        ({"TXT": {"d": ["x"]}}, None),
        ({}, None),
        ({"fail": {"d MX"}, "A": {"d": ["192.0.2.1"]}}, "exists"),
        ({"fail": {"d MX"}}, "temporary_failure"),
        ({"fail": {"d MX"}, "TXT": {"d": ["x"]}}, "temporary_failure"),
        ({"fail": {"d A"}, "TXT": {"d": ["x"]}}, "temporary_failure"),
        ({"fail": {"d AAAA"}, "TXT": {"d": ["x"]}}, "temporary_failure"),
        ({"fail": {"d AAAA"}, "A": {"d": ["192.0.2.1"]}}, "exists"),
        ({"fail": {"d A"}, "AAAA": {"d": ["2001:db8::1"]}}, "exists"),
    ],
)
async def test_mail_hosts(zone, expected):
    hosts = await mail_hosts(FakeDns(**zone), "d")
    seen = {word for word in ("exists", "null_mx", "temporary_failure") if getattr(hosts, word)}
    assert seen == ({expected} if expected else set())


async def test_no_such_name_ends_the_search():
    dns = FakeDns()
    await mail_hosts(dns, "d")
    assert dns.asked == [("d", "MX")]


async def test_an_address_is_enough_while_the_other_family_hangs():
    class OneHangs(FakeDns):
        async def query(self, name, kind):
            if kind == "AAAA":
                await asyncio.Event().wait()
            return await super().query(name, kind)

    assert (await mail_hosts(OneHangs(A={"d": ["192.0.2.1"]}), "d")).exists


async def test_evidence_is_plain_data():
    hosts = await mail_hosts(FakeDns(MX={"d": ["10 mx.d"]}), "d")
    assert json.loads(json.dumps(hosts.evidence)) == {"dns": ["d MX: 10 mx.d (for 300 s)"]}


@pytest.mark.parametrize(
    ("zone", "outcome", "names"),
    [
        (
            {"PTR": {"192.0.2.1": ["a.example"]}, "A": {"a.example": ["192.0.2.1"]}},
            Confirmation.CONFIRMED,
            ("a.example",),
        ),
        (
            {"PTR": {"192.0.2.1": ["b.example", "a.example"]}, "A": {"b.example": ["192.0.2.9", "192.0.2.1"]}},
            Confirmation.CONFIRMED,
            ("b.example",),
        ),
        ({"PTR": {"192.0.2.1": ["a.example"]}, "A": {"a.example": ["192.0.2.9"]}}, Confirmation.MISMATCH, ()),
        ({"PTR": {"192.0.2.1": ["a.example"]}}, Confirmation.NO_FORWARD, ()),
        ({"PTR": {"192.0.2.1": ["a.example"]}, "AAAA": {"a.example": ["2001:db8::1"]}}, Confirmation.NO_FORWARD, ()),
        ({"PTR": {"192.0.2.1": ["a.example"]}, "fail": {"a.example"}}, Confirmation.FAILURE, ()),
        (
            {
                "PTR": {"192.0.2.1": ["a.example", "b.example"]},
                "A": {"b.example": ["192.0.2.1"]},
                "fail": {"a.example"},
            },
            Confirmation.CONFIRMED,
            ("b.example",),
        ),
        (
            {
                "PTR": {"192.0.2.1": ["a.example", "b.example"]},
                "A": {"b.example": ["192.0.2.9"]},
                "fail": {"a.example"},
            },
            Confirmation.FAILURE,
            (),
        ),
        ({"PTR": {"192.0.2.1": [r"a\032b.example"]}}, Confirmation.NO_FORWARD, ()),
        ({}, Confirmation.NO_PTR, ()),
        ({"TXT": {"192.0.2.1": ["x"]}}, Confirmation.NO_PTR, ()),
        ({"fail": {"1.2.0.192.in-addr.arpa"}}, Confirmation.FAILURE, ()),
    ],
)
async def test_confirmed_names(zone, outcome, names):
    result = await confirmed_names(FakeDns(**zone), V4)
    assert (result.outcome, result.names) == (outcome, names)


async def test_ipv6_addresses_are_confirmed_by_aaaa():
    dns = FakeDns(PTR={"2001:db8::1": ["a.example"]}, AAAA={"a.example": ["2001:db8:0::1"]})
    result = await confirmed_names(dns, V6)
    assert result.names == ("a.example",)
    assert dns.asked[0][0].endswith("8.b.d.0.1.0.0.2.ip6.arpa")


async def test_a_reverse_zone_cannot_make_us_ask_without_end():
    dns = FakeDns(PTR={"192.0.2.1": [f"n{number}.example" for number in range(200)]})
    assert (await confirmed_names(dns, V4)).outcome is Confirmation.NO_FORWARD
    assert len(dns.asked) == 11


async def test_reverse_names_are_the_unproved_ones():
    answer = await reverse_names(FakeDns(PTR={"192.0.2.1": ["B.example."]}), V4)
    assert (answer.status, answer.records) == (Status.ANSWER, ("b.example",))
