"""Room for sessions: the stress profile's two thresholds, and who goes first."""

import logging

import pytest

from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.room import Room
from tests.fakes import Clock


class Idler:
    """A session that notes what the room does to it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def make_room(self) -> None:
        self.told.append("make room")

    def hurry(self) -> None:
        self.told.append("hurry")


class House:
    """A room for ten, and the sessions in it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sessions: list[Idler] = []
        self.room = Room(DialogLimits(sessions=10), self.sessions, self.clock)

    def add(self, count: int = 1) -> bool:
        for _ in range(count):
            self.sessions.append(Idler())
            fits = self.room.enter()
        return fits

    def remove(self, count: int) -> None:
        for _ in range(count):
            self.room.leave(self.sessions.pop())


def test_stress_begins_at_90_percent_and_ends_below_70(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    states = []
    with caplog.at_level(logging.WARNING):
        for step in (8, 1, 1, -3, -1, 1, 2, -1):
            if step > 0:
                house.add(step)
            else:
                house.remove(-step)
            states.append((len(house.sessions), house.room.stress))
    assert states == [
        (8, False), (9, True), (10, True), (7, True), (6, False), (7, False), (9, True), (8, True),
    ]  # fmt: skip
    assert [message.split(":")[0] for message in caplog.messages] == ["stress", "stress is over", "stress"]


def test_idle_sessions_hurry_when_stress_begins() -> None:
    house = House()
    house.add(8)
    idle, busy = house.sessions[:2]
    house.room.idle[idle] = house.clock()
    house.room.idle[busy] = house.clock()
    del house.room.idle[busy]
    house.add()
    assert (idle.told, busy.told) == (["hurry"], [])


def test_the_longest_idle_session_makes_room() -> None:
    house = House()
    house.add(10)
    first, second, third = house.sessions[:3]
    for session in (second, first, third):
        house.room.idle[session] = house.clock()
        house.clock.advance(1)
    house.clock.advance(1)
    assert house.add()
    assert second.told == ["make room"]
    assert house.add()
    assert first.told == ["make room"]
    assert third.told == []


def test_who_was_silent_for_a_moment_only_stays() -> None:
    house = House()
    house.add(10)
    house.room.idle[house.sessions[0]] = house.clock()
    house.clock.advance(1.9)
    assert not house.add()
    house.sessions.pop()
    house.clock.advance(0.1)
    assert house.add()


def test_nobody_idle_means_no_room() -> None:
    house = House()
    assert house.add(10)
    assert not house.add()


def test_a_session_that_left_makes_no_room() -> None:
    house = House()
    house.add(10)
    last = house.sessions[-1]
    house.room.idle[last] = house.clock()
    house.remove(1)
    house.clock.advance(100)
    house.add()
    assert not house.add()
    assert last.told == []
