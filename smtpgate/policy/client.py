"""The client of all policy services: a pool of connections for each."""

import asyncio
import logging
from collections.abc import Iterable

from smtpgate.policy.connection import Connection, PolicyUnavailable
from smtpgate.policy.service import PolicyLimits, PolicyService
from smtpgate.policy.wire import question
from smtpgate.system_error import in_words

log = logging.getLogger(__name__)


class PolicyClient:
    """Asks services, whichever the rules name. There are as many pools as there are different rules."""

    def __init__(self) -> None:
        self._pools: dict[tuple[PolicyService, PolicyLimits], Pool] = {}

    async def ask(
        self, service: PolicyService, attributes: Iterable[tuple[str, str]], instance: str, limits: PolicyLimits
    ) -> str:
        """The action that a service answers. Raises PolicyUnavailable.

        instance: the transaction; questions about it go over the connection that had the one before, if it is idle,
        because some services remember for each connection what they said last.
        """
        pool = self._pools.get((service, limits))
        if pool is None:
            pool = self._pools[service, limits] = Pool(service, limits)
        return await pool.ask(question(attributes), instance)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)  # the transports close in the next turn of the event loop


class Pool:
    """The connections to one service."""

    def __init__(self, service: PolicyService, limits: PolicyLimits) -> None:
        self._service = service
        self._limits = limits
        self._room = asyncio.Semaphore(limits.connections)
        self._open: set[Connection] = set()
        self._idle: dict[Connection, asyncio.TimerHandle] = {}  # the most recently used last
        self._failing = False

    async def ask(self, request: bytes, instance: str) -> str:
        """Try as often as the limits say. Raises PolicyUnavailable with the last reason."""
        why = ""
        for attempt in range(self._limits.tries):
            if attempt:
                await asyncio.sleep(self._limits.retry_delay)
            try:
                async with asyncio.timeout(self._limits.timeout):
                    action = await self._try(request, instance)
            except TimeoutError:
                why = f"no answer within {self._limits.timeout:g} s"
            except (PolicyUnavailable, OSError) as trouble:
                why = in_words(trouble)
            else:
                self._works(True)
                return action
        self._works(False, why)
        raise PolicyUnavailable(why)

    def close(self) -> None:
        """Close all connections, those in use too."""
        for connection in list(self._open):
            connection.close()

    async def _try(self, request: bytes, instance: str) -> str:
        async with self._room:
            connection = self._take(instance) or await self._connect()
            action = await connection.ask(request, instance)
            self._give_back(connection)
            return action

    async def _connect(self) -> Connection:
        connection = await Connection.to(self._service, self._forget)
        self._open.add(connection)
        return connection

    def _take(self, instance: str) -> Connection | None:
        """An idle connection: that of this transaction, or the most recently used, so that the surplus is closed."""
        if not self._idle:
            return None
        latest = next(reversed(self._idle))
        connection = next((idle for idle in self._idle if idle.instance == instance), latest)
        self._idle.pop(connection).cancel()
        return connection

    def _give_back(self, connection: Connection) -> None:
        if not connection.is_open:
            return
        loop = asyncio.get_running_loop()
        left = connection.opened + self._limits.lifetime - loop.time()
        if left <= 0:
            connection.close()
        else:
            self._idle[connection] = loop.call_later(min(left, self._limits.idle), connection.close)

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        timer = self._idle.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _works(self, works: bool, why: str = "") -> None:
        """Tell the administrator once when a service begins to fail, and once when it is back."""
        if works and self._failing:
            log.warning("policy service %s answers again", self._service)
        elif not works and not self._failing:
            log.warning("policy service %s fails: %s", self._service, why)
        self._failing = not works
