"""How long answers took."""

from hypothesis import given
from hypothesis import strategies as st

from smtpgate.dns.latency import BOUNDS, Latency

TIMES = st.lists(st.floats(0.0001, 10), min_size=1, max_size=200)


def noted(times: list[float]) -> Latency:
    latency = Latency()
    for seconds in times:
        latency.add(seconds)
    return latency


@given(TIMES, st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_at_most_a_quarter_too_long(times: list[float], share: float) -> None:
    exact = sorted(times)[max(0, -int(-share * len(times) // 1) - 1)]
    assert exact <= noted(times).quantile(share) * 1.0001 <= exact * 1.26


@given(TIMES, TIMES)
def test_workers_are_added_up(one: list[float], other: list[float]) -> None:
    together, summed = noted(one + other), Latency.sum([noted(one), noted(other)])
    assert summed.counts == together.counts
    assert abs(summed.mean - together.mean) < 1e-9


def test_without_answers() -> None:
    assert (Latency().mean, Latency().quantile(0.95)) == (None, None)


def test_extremes() -> None:
    assert noted([0.0]).quantile(1) == BOUNDS[0]
    assert noted([1e6]).quantile(0.95) == BOUNDS[-1]
