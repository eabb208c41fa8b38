"""score and check_score: weighted lists, and the threshold that sees what was given before it."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpgate.checks.score import weighted_list
from smtpgate.phases.score import Points, Score
from tests.checks.asking import ask, context, facts, short
from tests.fakes import FakeDns
from tests.loops import until

CLIENT = "203.0.113.7"
REVERSED = "7.113.0.203"
V6 = "2001:db8::7"
V6_REVERSED = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
KEY = "abcdefghijklmnopqrstuvwxyz"


def zone(**answers: list[str]) -> dict[str, list[str]]:
    return {f"{REVERSED}.{name}.example": addresses for name, addresses in answers.items()}


@pytest.mark.parametrize(
    ("lists", "answers", "points"),
    [
        (["bl.example*3"], {}, 0),
        (["bl.example*3"], zone(bl=["127.0.0.2"]), 3),
        (["bl.example"], zone(bl=["127.0.0.2"]), 1),
        (["bl.example*3", "other.example*2"], zone(bl=["127.0.0.2"], other=["127.0.0.2"]), 5),
        (["bl.example*3", "wl.example*-2"], zone(bl=["127.0.0.2"], wl=["127.0.5.1"]), 1),
        (["wl.example=127.0.[0..255].[1..3]*-2"], zone(wl=["127.0.5.0"]), 0),
        # one zone with several elements: each counts whose answers are there, and once
        (["bl.example=127.0.0.2*3", "bl.example=127.0.0.3*4"], zone(bl=["127.0.0.2", "127.0.0.3"]), 7),
        (["bl.example=127.0.0.[2..3]*3"], zone(bl=["127.0.0.2", "127.0.0.3"]), 3),
        # never a listing
        (["bl.example*3"], zone(bl=["127.255.255.254"]), 0),
        (["bl.example*3"], zone(bl=["198.51.100.1"]), 0),
    ],
)
async def test_score(lists: list[str], answers: dict, points: int) -> None:
    dns = FakeDns(A=answers)
    verdict = await ask("score", facts(), context(dns=dns), lists=lists)
    assert short(verdict) == "dunno"
    assert sum(one.value for one in verdict.points) == points == verdict.evidence["points"]
    assert len(dns.asked) == len(set(dns.asked))


async def test_a_list_that_fails_gives_nothing_and_says_so() -> None:
    dns = FakeDns(A=zone(other=["127.0.0.2"]), fail={f"{REVERSED}.bl.example"})
    verdict = await ask("score", facts(), context(dns=dns), lists=["bl.example*3", "other.example*2"])
    assert verdict.points == (Points("other.example", 2),)
    assert [(seen["dns"], seen["gives"]) for seen in verdict.evidence["lists"]] == [
        (f"{REVERSED}.bl.example A: temporary failure (told to fail)", 0),
        (f"{REVERSED}.other.example A: 127.0.0.2 (for 300 s)", 2),
    ]


async def test_ipv6() -> None:
    dns = FakeDns(A={f"{V6_REVERSED}.bl.example": ["127.0.0.2"]})
    verdict = await ask("score", facts(client=V6), context(dns=dns), lists=["bl.example*3"])
    assert verdict.points == (Points("bl.example", 3),)


async def test_all_lists_are_asked_at_once() -> None:
    gates = {f"{REVERSED}.{name}.example": asyncio.Event() for name in "abc"}
    dns = FakeDns(gate=gates)
    task = asyncio.create_task(ask("score", facts(), context(dns=dns), lists=["a.example", "b.example", "c.example"]))
    await until(lambda: len(dns.asked) == 3)
    for gate in gates.values():
        gate.set()
    assert (await task).points == ()


async def test_an_access_key_is_hidden() -> None:
    name = f"{KEY}.zen.dq.example.net"
    dns = FakeDns(A={f"{REVERSED}.{name}": ["127.0.0.2"]})
    verdict = await ask("score", facts(), context(dns=dns), lists=[f"{name}*3"])
    assert KEY not in str(verdict)
    assert verdict.points == (Points("zen.dq.example.net", 3),)


# --- the threshold --------------------------------------------------------------------------------------------------

BIG, SMALL, GOOD = Points("big.example", 3), Points("small.example", 1), Points("wl.example", -2)
UNSURE = Points("reject_unknown_client_hostname", 2, temporary=True)


def scored(*points: Points, client: str = CLIENT):
    score = Score()
    score.given["a rule"] = points
    return facts(client=client).with_score(score)


@pytest.mark.parametrize(
    ("points", "options", "expected"),
    [
        ([], {}, "dunno"),
        ([BIG], {}, "reject 550 5.7.1"),
        ([SMALL], {}, "dunno"),
        ([SMALL, BIG], {}, "reject 550 5.7.1"),
        ([BIG, GOOD], {}, "dunno"),
        ([BIG, GOOD, SMALL, SMALL], {}, "reject 550 5.7.1"),
        # what is temporary refuses for now only, unless the rest is enough
        ([SMALL, UNSURE], {}, "defer 450 4.7.1"),
        ([BIG, UNSURE], {}, "reject 550 5.7.1"),
        ([BIG], {"action": "defer"}, "defer 450 4.7.1"),
        ([BIG], {"action": "tag"}, "dunno"),
    ],
)
async def test_check_score(points: list[Points], options: dict, expected: str) -> None:
    verdict = await ask("check_score 3", scored(*points), context(), **options)
    assert short(verdict) == expected
    assert verdict.evidence["score"] == sum(one.value for one in points)


@pytest.mark.parametrize(
    ("points", "named"),
    [([SMALL, BIG], "big.example"), ([SMALL, UNSURE, SMALL, SMALL], "small.example"), ([UNSURE, SMALL], UNSURE.name)],
)
async def test_the_reply_names_who_gave_most(points: list[Points], named: str) -> None:
    verdict = await ask("check_score 3", scored(*points), context())
    assert verdict.reply.text == f"Service unavailable; client [{CLIENT}] blocked using {named}"


@pytest.mark.parametrize(("points", "result"), [([BIG], "fail"), ([SMALL], "pass")])
async def test_a_tag_is_for_the_header(points: list[Points], result: str) -> None:
    (tag,) = (await ask("check_score 3", scored(*points), context(), action="tag")).results
    assert (tag.method, tag.result, dict(tag.properties)["policy.threshold"]) == ("x-score", result, "3")


# --- how lists are written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "weight"),
    [("bl.example", 1), ("bl.example*2", 2), ("bl.example*-2", -2), ("bl.example=127.0.0.[2..3]*+4", 4)],
)
def test_weights(written: str, weight: int) -> None:
    assert weighted_list(written).weight == weight


@pytest.mark.parametrize(
    "written",
    ["", "*3", "bl.example*", "bl.example*x", "bl.example*1.5", "bl.example*3*3", "b.example*9999", "bl.example=*3", 3],
)  # fmt: skip
def test_a_wrong_list_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a list such as"):
        weighted_list(written)


@settings(deadline=None)
@given(st.text(st.sampled_from("bl.ex=127[];0*-+ é"), max_size=40))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        weighted_list(text)


ADDRESSES = st.lists(st.ip_addresses(v=4, network="127.0.0.0/29").map(str), max_size=3)


@settings(deadline=None)
@given(st.permutations([("a", 3), ("b", -2), ("c", 5)]), ADDRESSES, ADDRESSES)
async def test_the_sum_does_not_depend_on_the_order(order: list, first: list, second: list) -> None:
    answers = {name: addresses for name, addresses in zone(a=first, b=second, c=["127.0.0.2"]).items() if addresses}
    lists = [f"{name}.example*{weight}" for name, weight in order]
    verdict = await ask("score", facts(), context(dns=FakeDns(A=answers)), lists=lists)
    expected = 5 + (3 if first else 0) - (2 if second else 0)
    assert sum(one.value for one in verdict.points) == expected
