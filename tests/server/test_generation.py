"""When a missing worker is started."""

from typing import Any

import pytest

from smtpgate.server.generation import Generation

NOW = 1000.0


class Worker:
    """All that a generation knows of one."""

    def __init__(self, slot: int, started: float) -> None:
        self.slot = slot
        self.started = started
        self.is_ready = False


class World:
    """Forks, or fails to. now: the time."""

    def __init__(self, count: int) -> None:
        self.now = NOW
        self.fails = False
        self.started: list[int] = []
        self.generation = Generation(None, count, self._start)  # type: ignore[arg-type]

    def _start(self, generation: Generation, slot: int) -> Any:
        if self.fails:
            raise OSError(11, "Resource temporarily unavailable")
        self.started.append(slot)
        return Worker(slot, self.now)

    def step(self, seconds: float) -> list[int]:
        """Let time go by; the slots that were started then."""
        self.now += seconds
        self.started.clear()
        self.generation.start_missing(self.now)
        return list(self.started)

    def end(self, slot: int) -> float:
        [worker] = [worker for worker in self.generation.workers if worker.slot == slot]
        return self.generation.remove(worker, self.now)


def test_it_is_ready_when_all_are() -> None:
    world = World(2)
    assert not world.generation.is_ready
    assert world.step(0) == [0, 1]
    one, other = world.generation.workers
    one.is_ready = True
    assert not world.generation.is_ready
    other.is_ready = True
    assert world.generation.is_ready
    assert world.generation.next_start is None


@pytest.mark.parametrize(("served", "pause"), [(5, 0), (1, 0.5)])
def test_a_worker_that_served_is_replaced_soon(served: float, pause: float) -> None:
    world = World(2)
    world.step(0)
    for worker in world.generation.workers:
        worker.is_ready = True
    world.step(served)
    for _ in range(10):  # however often
        assert world.end(1) == pause
        assert world.step(pause) == [1]
        world.generation.workers[1].is_ready = True
        world.step(served)
    assert world.generation.failures == 0


def test_one_that_never_served_is_replaced_after_a_growing_pause() -> None:
    world = World(1)
    pauses = []
    for _ in range(7):
        assert world.step(0) == [0]
        pauses.append(world.end(0))
        assert world.generation.next_start == world.now + pauses[-1]
        assert world.step(pauses[-1] - 0.01) == []
        world.now += 0.02
    assert pauses == [0.5, 1, 2, 5, 10, 30, 30]
    assert world.generation.failures == 7
    assert world.step(0) == [0]
    world.generation.workers[0].is_ready = True
    world.now += 10
    assert world.end(0) == 0
    assert world.generation.failures == 0


def test_one_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World(1)
    world.fails = True
    assert world.step(0) == []
    assert world.step(0.4) == []
    assert caplog.messages == ["a worker cannot be started, again in 0.5 s: Resource temporarily unavailable"]
    world.fails = False
    assert world.step(0.1) == [0]
