"""check_spf."""

import pytest

from smtpgate.mailauth.authentication_results import MethodResult
from tests.checks.asking import CLIENT, ask, context, facts, short
from tests.fakes import FakeDns

ZONE = FakeDns(
    TXT={
        "pass.example": [f"v=spf1 ip4:{CLIENT} -all"],
        "fail.example": ["v=spf1 -all exp=why.fail.example"],
        "softfail.example": ["v=spf1 ~all"],
        "neutral.example": ["v=spf1 ?all"],
        "permerror.example": ["v=spf1 moo"],
        "why.fail.example": ["call +1 900 1234567"],
    },
    fail={"temperror.example"},
)
RESULTS = ["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"]


@pytest.mark.parametrize(
    ("result", "default", "rejected", "deferred"),
    [
        ("pass", "dunno", "dunno", "dunno"),
        ("fail", "reject 550 5.7.23", "reject 550 5.7.23", "defer 451 4.7.23"),
        ("softfail", "dunno", "reject 550 5.7.23", "defer 451 4.7.23"),
        ("neutral", "dunno", "reject 550 5.7.23", "defer 451 4.7.23"),
        ("none", "dunno", "reject 550 5.7.23", "defer 451 4.7.23"),
        ("permerror", "dunno", "reject 550 5.7.24", "defer 451 4.7.24"),
        ("temperror", "defer 451 4.4.3", None, "defer 451 4.4.3"),
    ],
)
async def test_check_spf(result: str, default: str, rejected: str | None, deferred: str) -> None:
    for response, expected in ((None, default), ("reject", rejected), ("defer", deferred), ("tag", "dunno")):
        options = {} if response is None or result == "pass" else {result: response}
        if expected is None:
            continue  # a configuration cannot say so: see below
        verdict = await ask("check_spf", facts(sender=f"ann@{result}.example"), context(dns=ZONE), **options)
        assert short(verdict) == expected
        assert verdict.results[0].result == result
        assert verdict.results[0].properties == (("smtp.mailfrom", f"ann@{result}.example"),)
        assert verdict.received_spf is not None
        assert verdict.received_spf.startswith(f"{result} (mx.example.org: ")


async def test_a_failed_lookup_cannot_refuse_for_good() -> None:
    with pytest.raises(ValueError, match="defer"):
        await ask("check_spf", facts(), context(), temperror="reject")


@pytest.mark.parametrize(
    ("client", "helo", "sender", "expected"),
    [
        (CLIENT, "pass.example", "", "dunno"),
        (CLIENT, "fail.example", "", "reject 550 5.7.23"),
        ("2001:db8::1", "fail.example", "", "reject 550 5.7.23"),
        ("fe80::1%eth0", "pass.example", "", "reject 550 5.7.23"),
        (f"::ffff:{CLIENT}", "pass.example", "", "dunno"),
        (CLIENT, "[203.0.113.7]", "", "dunno"),
        (CLIENT, "temperror.example", "", "defer 451 4.4.3"),
        (CLIENT, "fail.example", "ann@[203.0.113.7]", "dunno"),
        (CLIENT, "fail.example", "ann@PASS.example", "dunno"),
    ],
)
async def test_who_is_asked(client: str, helo: str, sender: str, expected: str) -> None:
    verdict = await ask("check_spf", facts(client=client, helo=helo, sender=sender), context(dns=ZONE))
    assert short(verdict) == expected


async def test_the_null_sender_is_told_by_the_helo_name() -> None:
    verdict = await ask("check_spf", facts(sender="", helo="pass.example"), context(dns=ZONE))
    assert verdict.results == (MethodResult("spf", "pass", None, (("smtp.helo", "pass.example"),)),)


@pytest.mark.parametrize("result", RESULTS[1:])
async def test_the_reply_names_domain_and_client_and_nothing_from_the_record(result: str) -> None:
    response = {result: "defer"}
    verdict = await ask("check_spf", facts(sender=f"ann@{result}.example"), context(dns=ZONE), **response)
    assert verdict.reply is not None
    assert f"{result}.example" in verdict.reply.text
    assert CLIENT in verdict.reply.text
    assert "900" not in verdict.reply.text
    assert "moo" not in verdict.reply.text


async def test_the_evidence() -> None:
    verdict = await ask("check_spf", facts(sender="ann@fail.example"), context(dns=ZONE))
    assert verdict.evidence == {
        "result": "fail",
        "domain": "fail.example",
        "identity": "mailfrom",
        "mechanism": "-all",
        "lookups": ["fail.example TXT: v=spf1 -all exp=why.fail.example (for 300 s)"],
    }


async def test_the_evidence_is_bounded() -> None:
    hosts = {f"m{n}.example": [f"10 x{n}-{k}.example" for k in range(10)] for n in range(9)}
    zone = FakeDns(
        TXT={"example.net": ["v=spf1 " + " ".join(f"mx:{host}" for host in hosts) + " -all"]},
        MX=hosts,
        A={f"x{n}-{k}.example": ["192.0.2.1"] for n in range(9) for k in range(10)},
    )
    verdict = await ask("check_spf", facts(), context(dns=zone))
    assert len(verdict.evidence["lookups"]) == 20
    assert verdict.evidence["more_lookups"] == 1 + 9 * 11 - 20
