"""How slowly a message may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.smtp.pace import Pace

# octets and seconds of each arrival, and whether the last one was in time; 1000 octets a second, 300 s to begin with
ARRIVALS = [
    ([(1, 299.0)], True),
    ([(1, 301.0)], False),
    ([(1000, 300.0)], True),
    ([(60_000, 60.0)] * 100, True),
    ([(70_000, 280.0)] * 1, True),
    ([(1, 60.1)] * 5, False),
    ([(1, 60.0)] * 4, True),
    ([(25_000_000, 1.0), (1, 299.0)], True),
    ([(25_000_000, 1.0), (1, 301.0)], False),
    ([(25_000_000, 1.0), (1, 150.0), (1, 151.0)], False),
    ([(0, 0.0)] * 1000, True),
]


@pytest.mark.parametrize(("arrivals", "in_time"), ARRIVALS)
def test_pace(arrivals: list[tuple[int, float]], in_time: bool) -> None:
    pace = Pace(1000, 300.0)
    *before, last = arrivals
    assert all(pace.keeps_up(*arrival) for arrival in before)
    assert pace.keeps_up(*last) is in_time


@given(st.lists(st.tuples(st.integers(0, 100_000), st.floats(0, 299))))
def test_who_keeps_the_rate_is_never_cut(arrivals: list[tuple[int, float]]) -> None:
    pace = Pace(1000, 300.0)
    assert all(pace.keeps_up(max(octets, int(waited * 1000) + 1), waited) for octets, waited in arrivals)
