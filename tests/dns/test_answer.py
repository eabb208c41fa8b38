import ipaddress

import pytest

from smtpgate.dns.resolver import Answer, Mx, Status


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (ipaddress.ip_address("2001:db8::1"), "2001:db8::1"),
        (Mx(10, "mx.example"), "10 mx.example"),
        (Mx(0, ""), "0 ."),
        (b"v=spf1\xff", "v=spf1\\xff"),
        (b"x" * 1000, "x" * 200),
        ("host.example", "host.example"),
    ],
)
def test_evidence_shows_records(record, shown):
    evidence = Answer("d", "TXT", Status.ANSWER, (record,), 60).evidence
    assert evidence == f"d TXT: {shown} (for 60 s)"


def test_evidence_shows_the_first_records_only():
    assert Answer("d", "TXT", Status.ANSWER, (b"x",) * 50).evidence.count("x") == 8


@pytest.mark.parametrize(
    ("name", "shown"),
    [("x" * 70_000, "x" * 255), ("b\udcffcher", "b\\udcffcher"), ("bücher", "b\\xfccher")],
)
def test_evidence_of_an_impossible_name_is_small_and_storable(name, shown):
    assert Answer(name, "A", Status.NO_NAME).evidence == f"{shown} A: no such name"


def test_evidence_tells_why_nothing_is_known():
    evidence = Answer("d", "A", Status.FAILURE, detail="SERVFAIL from 192.0.2.53").evidence
    assert evidence == "d A: temporary failure (SERVFAIL from 192.0.2.53)"
