"""A worker's reports to its supervisor: once a second how it is; and word when the supervisor is gone."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

EVERY = 1.0  # seconds


class Reporter(asyncio.Protocol):
    """Sends reports through a socket. on_lost: called when the supervisor is gone."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._facts: Callable[[], dict[str, Any]]
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def on(cls, channel: socket.socket, on_lost: Callable[[], None]) -> "Reporter":
        """A reporter on a connected socket."""
        loop = asyncio.get_running_loop()
        _, reporter = await loop.create_connection(lambda: cls(on_lost), sock=channel)
        return reporter

    def start(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Send what facts() returns: now, which says that the worker is ready, and once a second."""
        self._facts = facts
        self.report()

    def close(self) -> None:
        """Send a last report: what the worker has done in all."""
        self.report()
        self._on_lost = _nothing
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: the supervisor ended, whatever became of it."""
        if self._timer is not None:
            self._timer.cancel()
        self._on_lost()

    def report(self) -> None:
        """Send one now."""
        if self._transport.is_closing():
            return
        # A supervisor that does not read for a while must not fill the memory.
        if not self._transport.get_write_buffer_size():
            self._transport.write(json.dumps(self._facts()).encode() + b"\n")
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(EVERY, self.report)


def _nothing() -> None:
    """What is done about a supervisor that one has taken leave of."""
