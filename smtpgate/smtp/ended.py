"""Waiting for the end of a session, at no cost for those that nobody waits for."""

import asyncio


class Ended:
    """Like an asyncio.Event, which takes nearly a kilobyte from the beginning."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self._is_set = False

    def set(self) -> None:
        """The session is over."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until it is."""
        if not self._is_set:
            self._event = self._event or asyncio.Event()
            await self._event.wait()
