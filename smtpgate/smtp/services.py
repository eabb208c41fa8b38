"""What every session of a process shares."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from smtpgate.phases.engine import Engine
from smtpgate.record import Record
from smtpgate.relay.downstream import Downstream
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.limits import DialogLimits, MessageMemory


@dataclass(slots=True)
class Services:
    """The engine, the downstream, the record's keeper and the limits, handed to every session.

    connections: the open ones; closing: the server is about to stop, no new transaction begins.
    record: takes finished records; never blocks. clock: wall time in seconds since 1970.
    tls_context: the context that new handshakes use; None if no listener speaks TLS.
    """

    hostname: str
    engine: Engine
    downstream: Downstream
    record: Callable[[Record], None]
    clock: Callable[[], float]
    limits: DialogLimits = field(default_factory=DialogLimits)
    lines: LinePolicy = field(default_factory=LinePolicy)
    tls_context: Callable[[], ssl.SSLContext] | None = None
    connections: set[Any] = field(default_factory=set)
    closing: bool = False
    background: set[asyncio.Task[Any]] = field(default_factory=set)
    memory: MessageMemory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = MessageMemory(self.limits.message_memory)

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that must not end with the session that asked for it."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task

    async def drain(self) -> None:
        """Wait until all hand-overs have ended and the last records are handed over."""
        while self.background:
            await asyncio.wait(self.background)
        await self.engine.drain()
