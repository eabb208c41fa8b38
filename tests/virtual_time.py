"""An event loop whose clock moves only when nobody has anything left to do: hours pass at once, and always the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Waits for nothing: what it was asked to wait is over."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nobody will ever wake anybody up"
        self.now += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on such a clock."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run()."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


async def pause(seconds: float) -> None:
    """Let so much time pass."""
    over = asyncio.get_running_loop().create_future()
    timer = asyncio.get_running_loop().call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


def now() -> float:
    """The loop's time, in seconds."""
    return asyncio.get_running_loop().time()
