"""How many client networks a list lists, and when that is suspicious."""

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.dnsbl.share import ListedShare


def client(network: int, host: int = 1) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address((20 << 24) + (network << 8) + host)


def after(*shares: tuple[int, float]) -> tuple[ListedShare, int | None]:
    """So many networks with such a share listed, one after the other; at which network it became suspicious."""
    share, chance = ListedShare(), random.Random(5782)
    asked = 0
    for count, listed in shares:
        for _ in range(count):
            asked += 1
            share.note(client(asked), chance.random() < listed)
            if share.is_suspicious():
                return share, asked
    return share, None


@pytest.mark.parametrize("usual", [0.0, 0.3, 0.6, 0.8])
def test_a_list_that_lists_what_it_usually_does(usual: float) -> None:
    assert after((3000, usual))[1] is None


@pytest.mark.parametrize(("usual", "within"), [(0.0, 100), (0.3, 100), (0.6, 100), (0.8, 100)])
def test_a_list_that_suddenly_lists_everything(usual: float, within: int) -> None:
    share, tripped = after((1000, usual), (200, 1.0))
    assert tripped is not None
    assert 0 < tripped - 1000 <= within
    assert abs(share.usual - usual) < 0.1


def test_a_list_that_lists_everything_from_the_beginning() -> None:
    assert after((200, 1.0))[1] == 50


@pytest.mark.parametrize("hosts", [1, 250])
def test_one_busy_network_is_one(hosts: int) -> None:
    share = ListedShare()
    for number in range(2000):
        share.note(client(7, number % hosts), listed=True)
    assert (share.networks, share.listed, share.is_suspicious()) == (1, 1, False)


def test_networks_are_24_and_48_bits() -> None:
    share = ListedShare()
    for address in ("192.0.2.1", "192.0.2.255", "192.0.3.1", "2001:db8::1", "2001:db8:0:ffff::1", "2001:db8:1::1"):
        share.note(ipaddress.ip_address(address), listed=False)
    assert share.networks == 4


def test_several_questions_about_one_client_are_one() -> None:
    share = ListedShare()
    share.note(client(1), listed=True)
    share.note(client(1), listed=False)
    assert share.listed == 1
    share.note(client(1, 2), listed=False)
    assert share.listed == 0


@given(st.lists(st.tuples(st.ip_addresses(), st.booleans()), max_size=300))
def test_its_memory_is_bounded(asked: list) -> None:
    share = ListedShare()
    for address, listed in asked:
        share.note(address, listed)
        share.is_suspicious()
    assert share.networks <= 100
    assert 0 <= share.listed <= share.networks
    assert 0 <= share.usual <= 1
