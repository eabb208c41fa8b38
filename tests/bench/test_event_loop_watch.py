"""The watch sees a callback that holds up the loop, and why; or the bench would prove nothing."""

import asyncio
import gc
import select
import time
from collections.abc import Callable

import pytest

from bench import event_loop_watch
from bench.event_loop_watch import EventLoopWatch, SlowCallback

THRESHOLD = 0.02


def sleeping() -> None:
    """The blocking call that the watch must find, until it has looked often enough to know where it is."""
    while len(places_seen) < 3:
        select.select([], [], [], 2 * THRESHOLD)


def computing() -> None:
    until = time.thread_time() + 2 * THRESHOLD
    while time.thread_time() < until:
        pass


def collecting() -> None:
    until = time.thread_time() + 2 * THRESHOLD
    while time.thread_time() < until:
        gc.collect()


places_seen: list[str] = []


@pytest.fixture(autouse=True)
def _places(monkeypatch: pytest.MonkeyPatch) -> None:
    places_seen.clear()
    look = event_loop_watch._place

    def place(thread: int) -> str:
        place = look(thread)
        if "sleeping" in place:
            places_seen.append(place)
        return place

    monkeypatch.setattr(event_loop_watch, "_place", place)


def watched(callback: Callable[[], None]) -> SlowCallback:
    """The entry of this callback in the slow-callback log."""
    watch = EventLoopWatch()

    async def main() -> None:
        watch.start(THRESHOLD)
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    watch.stop()
    assert watch.turns > 1
    (slow,) = (slow for slow in watch.slow if callback.__name__ in slow.what)
    return slow


def test_a_blocking_call_is_told_from_work():
    slow = watched(sleeping)
    assert slow.blocked >= THRESHOLD > slow.cpu
    assert "sleeping" in slow.where


@pytest.mark.parametrize("work", [computing, collecting])
def test_work_is_told_from_a_blocking_call(work: Callable[[], None]):
    slow = watched(work)
    assert slow.cpu >= THRESHOLD
    assert (slow.collecting >= THRESHOLD) == (work is collecting)


def test_a_machine_that_has_no_core_to_spare_is_not_to_blame():
    slow = SlowCallback("task", "here", wall=0.1, cpu=0.005, waited_for_core=0.09, collecting=0.0)
    assert slow.own == pytest.approx(0.01)
