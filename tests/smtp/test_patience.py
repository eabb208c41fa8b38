"""Mistakes: a few are free, the next are answered later and later, a message makes up for all."""

import pytest

from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.patience import Patience

LIMITS = DialogLimits(soft_error_limit=3, error_delay=2.0)


@pytest.mark.parametrize(
    ("errors", "delay"), [(0, 0.0), (1, 0.0), (3, 0.0), (4, 2.0), (5, 4.0), (13, 20.0), (14, 20.0), (1000, 20.0)]
)
def test_the_delay_grows_up_to_ten_times(errors: int, delay: float) -> None:
    patience = Patience(LIMITS)
    for _ in range(errors):
        patience.error()
    assert (patience.mistakes, patience.delay) == (errors, delay)


@pytest.mark.parametrize(("commands", "errors"), [(0, 0), (5, 0), (6, 1), (9, 4)])
def test_junk_beyond_the_limit_is_a_mistake(commands: int, errors: int) -> None:
    patience = Patience(LIMITS)
    for _ in range(commands):
        patience.junk(5)
    assert patience.mistakes == errors


def test_a_delivered_message_forgives_all() -> None:
    patience = Patience(LIMITS)
    for _ in range(8):
        patience.error()
        patience.junk(5)
    patience.delivered()
    assert (patience.mistakes, patience.delay) == (0, 0.0)
    patience.junk(1)
    assert patience.mistakes == 0
