"""What every session of a process shares."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from smtpgate.phases.engine import Engine
from smtpgate.quarantine import Quarantine
from smtpgate.record import Record
from smtpgate.relay.downstream import Downstream
from smtpgate.smtp.acquaintances import Acquaintances
from smtpgate.smtp.client_table import ClientCounts, counts_of_one
from smtpgate.smtp.clients import ClientLimits
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.limits import DialogLimits, MessageMemory
from smtpgate.smtp.peers import TrustedPeers
from smtpgate.smtp.room import Room
from smtpgate.spool import Spool
from smtpgate.store.delivered import DeliveredRecipients
from smtpgate.values import Network


@dataclass(slots=True)
class Services:
    """The engine, the downstream, the record's keeper and the limits, handed to every session.

    delivered: which recipients have a message that its client will send again.
    connections: the open ones; closing: the server is about to stop, no new transaction begins.
    record: takes finished records; never blocks. clock: wall time in seconds since 1970. monotonic: seconds, never set
    back. mynetworks: clients that the limits of client networks do not hold for. peers: who may speak for others.
    counts: this worker's column of what all workers count. spool: for large messages. quarantine: for held
    ones. tls_context: the context that new handshakes use, to be told whether the client is asked for its certificate;
    None if no listener speaks TLS.
    """

    hostname: str
    engine: Engine
    downstream: Downstream
    delivered: DeliveredRecipients
    record: Callable[[Record], None]
    clock: Callable[[], float]
    spool: Spool
    limits: DialogLimits = field(default_factory=DialogLimits)
    lines: LinePolicy = field(default_factory=LinePolicy)
    quarantine: Quarantine = field(default_factory=lambda: Quarantine("var/quarantine"))
    tls_context: Callable[[bool], ssl.SSLContext] | None = None
    connections: set[Any] = field(default_factory=set)
    closing: bool = False
    background: set[asyncio.Task[Any]] = field(default_factory=set)
    monotonic: Callable[[], float] = time.monotonic
    mynetworks: Sequence[Network] = ()
    peers: TrustedPeers = field(default_factory=TrustedPeers)
    counts: ClientCounts | None = None
    acquaintances: Acquaintances = field(default_factory=Acquaintances)
    memory: MessageMemory = field(init=False)
    room: Room = field(init=False)
    clients: ClientLimits = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.limits, self.connections, self.monotonic)
        counts = self.counts or counts_of_one(self.monotonic)
        self.clients = ClientLimits(self.limits, (*self.mynetworks, *self.peers.all), counts)
        self.memory = MessageMemory(self.limits.message_memory, self.limits.memory_per_message)

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
        await self.engine.settling.drain()
