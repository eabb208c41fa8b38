"""Ending what a task waits for, without ending the task."""

import asyncio


class Interruption:
    """What asyncio.timeout() does, for whoever has a better way to know the time than a timer for each.

    It is made by the task that is going to wait, which asks happened() when its wait ended with CancelledError.
    """

    __slots__ = ("_cancelling", "_is_said", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._is_said = False

    def interrupt(self) -> None:
        """End the wait."""
        self._is_said = True
        self._task.cancel()

    def happened(self) -> bool:
        """Whether that was why it ended, and nobody wants the task itself to end. To be asked once."""
        return self._is_said and self._task.uncancel() <= self._cancelling
