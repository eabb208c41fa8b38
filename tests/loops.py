"""Event loops: tests that run on asyncio's and on the one that the server uses, and waiting for what others do."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

# A test that waits for something that never comes must end by itself, after so many seconds.
PATIENCE = 10.0
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn an async test into one for each event loop."""

    def run(loop: str, **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(test(**arguments))

    functools.update_wrapper(run, test)
    del run.__wrapped__  # type: ignore[attr-defined]
    signature = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(parameters=[loop, *signature.parameters.values()])  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return marked


async def until(happened: Callable[[], object]) -> None:
    """Let the others run until something has happened."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def turns_of_others(work: Awaitable[object]) -> int:
    """How often another task had its turn until some work was done."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    await work
    task.cancel()
    return turns


async def let_pass(seconds: float) -> None:
    """Let so much time have passed on the clock of the running loop, asyncio's: what was due until then is done.

    With this a time-out can be so long that no slow machine meets it, and comes at once where the test wants it.
    """
    loop = asyncio.get_running_loop()
    passed = getattr(loop, "passed", 0.0) + seconds
    loop.passed = passed  # type: ignore[attr-defined]
    loop.time = lambda: type(loop).time(loop) + passed  # type: ignore[method-assign]
    for _ in range(2):  # in the first turn the timers are found, in the second one they have run
        await asyncio.sleep(0)
