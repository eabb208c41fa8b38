"""How work grows with what it is done to: the same verdict on every machine, however fast and however busy."""

import time
from collections.abc import Callable

# For eight times as much: linear work takes eight times as long, quadratic work 64 times.
_TOO_MUCH = 24
_TRIES = 20


def assert_linear(small: Callable[[], object], large: Callable[[], object]) -> None:
    """`large`, done to eight times as much as `small`, must not take many more times as much computing.

    Another program may slow down any of the tries, so the best ones count, and there are more only if they are needed.
    """
    best = {small: float("inf"), large: float("inf")}
    for _ in range(_TRIES):
        for work in best:
            began = time.thread_time()
            work()
            best[work] = min(best[work], time.thread_time() - began)
        if best[large] < _TOO_MUCH * best[small]:
            return
    raise AssertionError(f"eight times as much takes {best[large] / best[small]:.0f} times as long")
