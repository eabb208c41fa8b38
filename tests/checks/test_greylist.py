"""greylist: who is put off, for how long, and what counts as the same attempt."""

import pytest

from smtpgate.checks.greylist import GreylistOptions
from smtpgate.store.greylist import StoreError
from tests.checks.asking import ask, context, facts, short
from tests.fake_store import FakeGreylist
from tests.fakes import Clock

LATER, MINUTE, DAY = "defer 450 4.2.0", 60, 86400


@pytest.mark.parametrize(
    ("attempts", "options"),
    [
        # (seconds since the first attempt, answer)
        ([(0, LATER), (299, LATER), (300, "dunno")], {}),
        ([(0, LATER), (2 * DAY - 1, "dunno"), (36 * DAY, "dunno")], {}),
        ([(0, LATER), (2 * DAY, LATER)], {}),
        ([(0, LATER), (2 * DAY + 1, LATER), (2 * DAY + 301, "dunno")], {}),
        ([(0, LATER), (300, "dunno"), (301 + 35 * DAY, LATER)], {}),
        ([(0, LATER), (59, LATER), (60, "dunno")], {"delay": "1m"}),
        ([(0, LATER), (3601, LATER)], {"window": "1h"}),
        ([(0, LATER), (300, "dunno"), (3901, LATER)], {"lifetime": "1h"}),
        # the clock is set back
        ([(10 * DAY, LATER), (0, LATER), (300, "dunno")], {}),
        ([(10 * DAY, LATER), (10 * DAY + 300, "dunno"), (0, "dunno")], {}),
    ],
)
async def test_greylist(attempts: list[tuple[int, str]], options: dict[str, str]) -> None:
    clock = Clock()
    ctx = context(clock=clock)
    began = clock.now
    for seconds, expected in attempts:
        clock.now = began + seconds
        assert short(await ask("greylist", facts(), ctx, **options)) == expected


async def test_the_null_sender_is_never_put_off_nor_remembered() -> None:
    store = FakeGreylist()
    assert short(await ask("greylist", facts(sender=""), context(greylist=store))) == "dunno"
    assert store.rows == {}


FIRST = {"client": "203.0.113.7", "sender": "list+1@example.net", "recipient": "b@example.org"}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"client": "203.0.113.250"}, True),
        ({"client": "203.0.114.7"}, False),
        ({"client": "2001:db8::1"}, False),
        ({"sender": "list+2@example.net"}, True),
        ({"sender": "LIST@Example.NET"}, True),
        ({"sender": "list2@example.net"}, False),
        ({"sender": "list@example.com"}, False),
        ({"recipient": "B@Example.Org"}, True),
        ({"recipient": "c@example.org"}, False),
    ],
)
async def test_what_counts_as_the_same_attempt(changed: dict[str, str], same: bool) -> None:
    clock = Clock()
    ctx = context(clock=clock)
    await ask("greylist", facts(**FIRST), ctx)
    clock.advance(5 * MINUTE)
    verdict = await ask("greylist", facts(**{**FIRST, **changed}), ctx)
    assert short(verdict) == ("dunno" if same else LATER)


@pytest.mark.parametrize(
    ("client", "options", "network"),
    [
        ("203.0.113.7", {}, "203.0.113.0/24"),
        ("203.0.113.7", {"ipv4_prefix": 19}, "203.0.96.0/19"),
        ("203.0.113.7", {"ipv4_prefix": 32}, "203.0.113.7/32"),
        ("2001:db8:1:2:3::4", {}, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", {"ipv6_prefix": 48}, "2001:db8:1::/48"),
        ("::1", {}, "::/64"),
        ("fe80::1%eth0", {}, "fe80::/64"),
    ],
)
async def test_the_network_that_counts(client: str, options: dict[str, int], network: str) -> None:
    verdict = await ask("greylist", facts(client=client), context(), **options)
    assert verdict.evidence["client"] == network


@pytest.mark.parametrize(
    ("sender", "key"),
    [
        ("bounce-42-eve=example.org@list.example", "bounce-#-eve=example.org@list.example"),
        ("msg.2026.11.23@list.example", "msg.#.#.#@list.example"),
        ("a1b2@list.example", "a1b2@list.example"),
        ("user+tag@list.example", "user@list.example"),
        ("+tag@list.example", "+tag@list.example"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ],
)
async def test_a_senders_numbers_do_not_count(sender: str, key: str) -> None:
    verdict = await ask("greylist", facts(sender=sender), context())
    assert verdict.evidence["sender"] == key


async def test_reply_and_evidence() -> None:
    clock = Clock(now=1000.0)
    ctx = context(clock=clock)
    await ask("greylist", facts(), ctx)
    clock.advance(100.5)
    verdict = await ask("greylist", facts(), ctx)
    assert str(verdict.reply) == "450 4.2.0 Greylisted, please try again in 200 seconds"
    assert verdict.evidence == {
        "client": "203.0.113.0/24",
        "sender": "a@example.net",
        "recipient": "b@example.org",
        "first_seen": 1000.0,
        "age": 100.5,
        "passes": 0,
    }
    clock.advance(300)
    assert (await ask("greylist", facts(), ctx)).evidence["passes"] == 1


async def test_a_store_that_is_away_is_the_engines_business() -> None:
    with pytest.raises(StoreError):
        await ask("greylist", facts(), context(greylist=FakeGreylist(broken=True)))


def test_the_defaults_are_postgreys() -> None:
    options = GreylistOptions()
    assert (options.delay, options.window, options.lifetime) == (300, 2 * DAY, 35 * DAY)
    assert (options.ipv4_prefix, options.ipv6_prefix) == (24, 64)


@pytest.mark.parametrize(("option", "value"), [("ipv4_prefix", 33), ("ipv4_prefix", 0), ("ipv6_prefix", True)])
async def test_a_wrong_prefix_is_refused(option: str, value: int) -> None:
    with pytest.raises(ValueError, match="prefix length"):
        await ask("greylist", facts(), context(), **{option: value})
