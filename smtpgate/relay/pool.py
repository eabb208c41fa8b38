"""Connections to one downstream, kept for the next transaction."""

import asyncio
import time
from dataclasses import dataclass

from smtpgate.relay.connection import Connection
from smtpgate.relay.downstream import DownstreamUnavailable
from smtpgate.relay.greeting import connect
from smtpgate.relay.security import Security
from smtpgate.relay.url import DownstreamUrl


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections there may be, and how long they live. Times in seconds.

    connections: in all. idle: kept without work, each at most idle_time (below what downstreams tolerate: Postfix
    300 s, Dovecot 60 s and more). connect_timeout: up to the answer to EHLO, or to AUTH.
    timeout: for each later reply.
    """

    connections: int = 1000
    idle: int = 64
    idle_time: float = 50.0
    connect_timeout: float = 10.0
    timeout: float = 30.0


class TooManyConnections(DownstreamUnavailable):
    """The downstream was not even asked: all connections that there may be are in use."""


class ConnectionPool:
    """Hands out connections, the most recently used first, so that the surplus grows old and is closed."""

    def __init__(self, url: DownstreamUrl, hostname: str, limits: PoolLimits, security: Security) -> None:
        self._url = url
        self._hostname = hostname
        self._security = security
        self._limits = limits
        self._open: set[Connection] = set()
        self._connecting = 0
        self._idle: dict[Connection, float] = {}  # since when; the oldest first
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self.offered: frozenset[str] | None = None  # what the latest connection offered, keywords in upper case

    @property
    def idle(self) -> int:
        """How many connections wait for work."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """How many are in use, or about to be."""
        return len(self._open) - len(self._idle) + self._connecting

    def take_idle(self) -> Connection | None:
        """A used connection that is open as far as we know, or None."""
        return self._idle.popitem()[0] if self._idle else None

    async def take_fresh(self) -> Connection:
        """A new connection. Raises DownstreamUnavailable."""
        if len(self._open) + self._connecting >= self._limits.connections:
            raise TooManyConnections(f"too many connections: {self._limits.connections}")
        self._connecting += 1
        try:
            connection = await connect(
                self._url,
                hostname=self._hostname,
                security=self._security,
                connect_timeout=self._limits.connect_timeout,
                timeout=self._limits.timeout,
                on_closed=self._forget,
            )
        finally:
            self._connecting -= 1
        self.offered = frozenset(connection.extensions)
        if connection.is_open:
            self._open.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next transaction, or close it."""
        if not connection.is_idle:
            connection.fail(DownstreamUnavailable("given back in the middle of something"))
            return
        if self._closed or len(self._idle) >= self._limits.idle:
            connection.quit()
            return
        self._idle[connection] = time.monotonic()
        if self._sweeper is None:
            self._sweep_after(self._limits.idle_time)

    async def close(self) -> None:
        """Close idle connections now, and those in use when they are given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._idle):
            connection.quit()
        await asyncio.sleep(0)  # the transports close in the next turn of the event loop

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def _sweep_after(self, seconds: float) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long; one timer serves the whole pool."""
        self._sweeper = None
        too_old = time.monotonic() - self._limits.idle_time
        for connection, since in list(self._idle.items()):
            if since > too_old:
                self._sweep_after(since - too_old)
                return
            connection.quit()
