"""Whether the wall clock can be believed."""

import contextlib

from smtpgate.server.wall_clock import Look, WallClock
from tests.fakes import Clock


async def test_what_it_says_of_itself() -> None:
    wall, monotonic = Clock(1e9), Clock(50.0)

    def go_on(seconds: float, *, set_by: float = 0.0) -> None:
        monotonic.advance(seconds)
        wall.advance(seconds + set_by)

    async with contextlib.aclosing(WallClock(wall, monotonic, soon=0.0).looks(0.0)) as looks:
        assert await anext(looks) == Look(1e9, False, 0.0)
        go_on(10)
        assert await anext(looks) == Look(1e9 + 10, False, 10.0)
        go_on(10, set_by=-60)  # a correction
        assert await anext(looks) == Look(1e9 - 40, False, 20.0)
        go_on(10, set_by=3600)
        assert await anext(looks) == Look(1e9 + 3570, True, 0.0)
        go_on(10)
        assert await anext(looks) == Look(1e9 + 3580, False, 10.0)
        go_on(10, set_by=-3600)
        assert await anext(looks) == Look(1e9 - 10, True, 0.0)
