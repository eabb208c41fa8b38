"""When a list is suspended or no longer asked, for how long, and how it comes back."""

import ipaddress

from smtpgate.dnsbl.health import ListHealth, State
from smtpgate.dnsbl.self_test import Finding, Kind
from tests.fakes import Clock

CLIENT = ipaddress.ip_address("203.0.113.7")
GOOD, WRONG, UNKNOWN = Finding(), Finding(wrong="it lists 127.0.0.1"), Finding(unknown="timed out")
MINUTE = 60.0


def health() -> ListHealth:
    return ListHealth("bl.example", Kind.IPV4, Clock())


def test_a_good_list_is_tested_every_half_hour() -> None:
    bl = health()
    assert bl.state is State.UNTESTED and bl.is_asked and not bl.tested.is_set()
    for _ in range(3):
        bl.note_test(GOOD)
        assert (bl.state, bl.pause()) == (State.GOOD, 30 * MINUTE)


def test_a_wrong_list_is_suspended_until_a_test_is_good() -> None:
    bl = health()
    pauses = []
    for _ in range(5):
        bl.note_test(WRONG)
        pauses.append(bl.pause() / MINUTE)
        assert not bl.is_asked
    assert pauses == [5, 10, 20, 30, 30]
    bl.note_test(GOOD)
    assert bl.state is State.GOOD


def test_a_suspension_that_comes_again_and_again_lasts_longer() -> None:
    bl = health()
    bl.note_test(GOOD)
    pauses = []
    for _ in range(4):
        bl.answered(CLIENT, False, "it answered 127.255.255.255: it was asked too often")
        pauses.append(bl.pause() / MINUTE)
        bl.note_test(GOOD)
    assert pauses == [5, 10, 20, 30]
    bl.note_test(GOOD)  # half an hour later: it has stayed good
    bl.note_test(WRONG)
    assert bl.pause() == 5 * MINUTE


def test_a_test_without_an_answer_suspends_nothing_and_ends_no_suspension() -> None:
    bl = health()
    bl.note_test(UNKNOWN)
    assert bl.state is State.UNTESTED and bl.tested.is_set()
    bl.note_test(GOOD)
    bl.note_test(UNKNOWN)
    assert bl.state is State.GOOD
    assert bl.pause() < MINUTE
    bl.note_test(WRONG)
    bl.note_test(UNKNOWN)
    assert bl.state is State.SUSPENDED


def test_a_silent_list_is_not_asked_until_it_answers_a_test() -> None:
    bl = health()
    bl.note_test(GOOD)
    for _ in range(4):
        bl.was_silent("timed out")
    assert bl.is_asked
    bl.was_silent("timed out")
    assert (bl.state, bl.reason) == (State.FAILING, "timed out")
    assert bl.changed.is_set()
    pauses = []
    for _ in range(7):
        pauses.append(bl.pause())
        bl.note_test(UNKNOWN)
    assert pauses == [15, 30, 60, 120, 240, 300, 300]
    bl.note_test(GOOD)
    assert (bl.state, bl.pause()) == (State.GOOD, 30 * MINUTE)


def test_one_answer_among_many_failures_is_enough() -> None:
    bl = health()
    for number in range(40):
        if number % 5:
            bl.was_silent("timed out")
        else:
            bl.took(0.01)
            bl.answered(CLIENT, False, None)
    assert bl.state is State.UNTESTED


def test_silence_of_the_self_tests_alone_is_silence_too() -> None:
    bl = health()
    for _ in range(5):
        bl.note_test(UNKNOWN)
    assert bl.state is State.FAILING


def test_a_list_that_lists_most_clients() -> None:
    bl = health()
    bl.note_test(GOOD)
    for network in range(50):
        assert bl.is_asked
        bl.answered(ipaddress.ip_address(f"203.0.{network}.7"), True, None)
    assert bl.state is State.SUSPENDED
    assert bl.reason == "it lists 50 of the last 50 client networks, usually 80% of them"
    assert bl.pause() == 15  # strangers can bring a suspicion about: a test soon shows what is true
    bl.note_test(GOOD)
    bl.answered(CLIENT, True, None)
    assert bl.is_asked  # the picture begins anew


def test_a_suspicion_that_a_test_confirms_is_a_suspension_like_others() -> None:
    bl = health()
    bl.note_test(GOOD)
    for network in range(50):
        bl.answered(ipaddress.ip_address(f"203.0.{network}.7"), True, None)
    bl.note_test(WRONG)
    assert bl.pause() == 10 * MINUTE


def test_nobody_is_counted_for_mynetworks() -> None:
    bl = health()
    for _ in range(500):
        bl.answered(None, True, None)
    assert bl.is_asked
    assert bl.report()["listed"] == 500


def test_what_is_reported() -> None:
    bl = health()
    for seconds in (0.010, 0.020):
        bl.took(seconds)
    bl.answered(CLIENT, True, None)
    bl.answered(CLIENT, False, None)
    bl.was_silent("timed out")
    bl.note_test(WRONG)
    bl.spared()
    report = bl.report()
    assert sum(report.pop("latency")) == 2
    assert report == {
        "list": "bl.example",
        "kind": "IPv4",
        "state": "suspended",
        "since": 1_000_000.0,
        "reason": "it lists 127.0.0.1",
        "asked": 3,
        "listed": 1,
        "failed": 1,
        "not_asked": 1,
        "latency_total": 0.03,
        "tested": 1_000_000.0,
        "test": "it lists 127.0.0.1",
    }
    assert bl.standing() == {
        "list": "bl.example",
        "suspended": "it lists 127.0.0.1",
        "since": "1970-01-12 13:46:40 UTC",
    }
