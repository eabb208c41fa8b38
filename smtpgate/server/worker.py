"""One worker: builds the services from the settings, serves, and ends without losing anything."""

import asyncio
import dataclasses
import functools
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from smtpgate.config.settings import Settings
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.stub import StubResolver
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.phases.asking import Limits
from smtpgate.phases.context import Context
from smtpgate.phases.engine import Engine
from smtpgate.quarantine import Quarantine
from smtpgate.server.descriptors import other_files, raise_descriptor_limit, sessions_within
from smtpgate.server.downstream import configured_downstream
from smtpgate.server.facts import Facts, Tally
from smtpgate.server.heap import system_heap
from smtpgate.server.held import HeldMessages
from smtpgate.server.interfaces import own_addresses
from smtpgate.server.lists import configured_lists
from smtpgate.server.recorder import Recorder
from smtpgate.server.sockets import BACKLOG
from smtpgate.server.table_files import TableFiles
from smtpgate.server.tls import ServerTls
from smtpgate.server.verification import Verifiers
from smtpgate.server.wall_clock import WallClock
from smtpgate.smtp.client_table import ClientCounts
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.peers import TrustedPeers
from smtpgate.smtp.services import Services
from smtpgate.spool import Spool
from smtpgate.store.entries import RememberedTables
from smtpgate.store.sqlite import open_store
from smtpgate.system_error import in_words
from smtpgate.values import Endpoint

log = logging.getLogger(__name__)

# How long sessions may take to end when the server stops, in seconds. A hand-over is always waited for.
STOP_WITHIN = 30.0
# How long they may go on when another worker serves already, in seconds.
DRAIN_WITHIN = 600.0
_ABORTED_WITHIN = 5.0


# How many more objects than now there may be until the collector looks for cycles.
_COLLECT_AFTER = 10_000


def freeze() -> None:
    """Take what is loaded out of the garbage collector's sight; before the event loop starts.

    A full collection would hold up every session for as long as it takes to look at all modules: 50 ms and more.
    What a session leaves is freed by its reference counts, but for a few cycles: it need not be searched for often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


class Worker:
    """A serving process.

    sockets: for each listener one that is listened on. write_log: takes the log's lines. deletes: whether it deletes
    old records; of several workers one is enough. counts: by client network, shared with other workers.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Mapping[Endpoint, socket.socket],
        write_log: Callable[[str], None],
        *,
        deletes: bool = True,
        counts: ClientCounts | None = None,
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._write_log = write_log
        self._deletes = deletes
        self._counts = counts
        self._leave = asyncio.Event()
        self._stop = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._facts: Callable[[], dict[str, Any]] = dict

    async def run(self, ready: Callable[[], None], leaving: Callable[[], None] = lambda: None) -> None:
        """Serve until stop(), drain() or a signal. ready: called when it serves. leaving: when no new sessions come."""
        settings = self._settings
        store = open_store(settings.store.url)
        wall_clock = WallClock()
        recorder = Recorder(store, self._write_log, wall_clock, settings.record.keep, deletes=self._deletes)
        tally = Tally(recorder.put)
        downstream = configured_downstream(settings)
        stub = StubResolver(settings.dns.nameservers, settings.dns.timeout)
        resolver = CachingResolver(stub)
        lists = DnsLists(
            resolver, CachingResolver(stub, size=0), forget=resolver.forget, mynetworks=settings.server.mynetworks
        )
        verifiers = Verifiers(settings, resolver, downstream, store)
        context = Context(
            dns=resolver,
            lists=lists,
            greylist=store,
            clock=time.time,
            hostname=settings.server.hostname,
            mynetworks=settings.server.mynetworks,
            relay_domains=settings.server.relay_domains,
            own_addresses=own_addresses(),
            recipients=settings.server.recipients,
            tables=RememberedTables(store, time.monotonic),
            dotted_parents=not settings.server.parent_domain_matches_subdomains,
            recipient_delimiter=settings.server.recipient_delimiter,
            verify_sender=verifiers.sender,
            verify_recipient=verifiers.recipient,
        )
        spool = Spool(settings.server.spool)
        quarantine = Quarantine(settings.server.quarantine, settings.server.quarantine_size)
        services = Services(
            hostname=settings.server.hostname,
            engine=Engine(
                settings.phases,
                context,
                delay_reject=settings.server.delay_reject,
                limits=Limits(settings.dns.phase_timeout, settings.dns.session_timeout),
                policies=settings.policies,
            ),
            downstream=downstream,
            delivered=store,
            record=tally.put,
            clock=time.time,
            spool=spool,
            quarantine=quarantine,
            limits=_limits(settings, stub),
            counts=self._counts,
            lines=LinePolicy(settings.server.bare_newline, settings.server.long_lines),
            mynetworks=settings.server.mynetworks,
            peers=TrustedPeers(
                settings.server.xclient_peers,
                settings.server.xforward_peers,
                [network for listener in settings.listeners for network in listener.proxy_protocol],
            ),
        )
        tls = ServerTls(settings.tls, asks=settings.asks_for_certificates) if settings.has_tls else None
        watching = asyncio.create_task(tls.watch()) if tls else None
        services.tls_context = tls.context if tls else None
        heap = system_heap(lambda: services.memory.held > 0)
        tables = asyncio.create_task(TableFiles(settings.tables).watch())
        trimming = asyncio.create_task(heap.watch()) if heap else None
        await asyncio.to_thread(_prepare, spool, quarantine)
        held = HeldMessages(quarantine, settings.server.quarantine_keep, wall_clock) if self._deletes else None
        deleting = asyncio.create_task(held.watch()) if held else None
        await recorder.start()
        lists.start(one.listing for one in configured_lists(settings))
        learning = asyncio.create_task(downstream.learn_extensions())
        try:
            await self._listen(services)
            self._on_signals()
            self._facts = Facts(services, tally, recorder, lambda: resolver.facts() | stub.facts(), lists)
            ready()
            await self._leave.wait()
            await self._finish(services, leaving)
        finally:
            for task in (watching, learning, trimming, tables, deleting):
                if task:
                    task.cancel()
            await lists.close()
            await recorder.close(STOP_WITHIN)
            await verifiers.close()
            await downstream.close()
            await context.policy.close()
            stub.close()
            await store.close()
            await asyncio.to_thread(spool.close)

    def stop(self) -> None:
        """Stop serving: no new sessions, those between transactions are told at once, the others may finish."""
        self._stop.set()
        self._leave.set()

    def drain(self) -> None:
        """Leave new sessions to others, and stop when one's own have ended, or have gone on for too long."""
        self._leave.set()

    def facts(self) -> dict[str, Any]:
        """How it is: numbers for `smtpgate status`."""
        return self._facts() | {"leaving": not self._servers}

    async def _listen(self, services: Services) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._settings.listeners:
            name = str(listener.address)
            server = await loop.create_server(
                functools.partial(
                    Dialog,
                    services,
                    name,
                    loop=loop,
                    tls=listener.tls,
                    certificates=listener.client_certificates,
                    proxies=listener.proxy_protocol,
                ),
                sock=self._sockets[listener.address],
                backlog=BACKLOG,
            )
            self._servers.append(server)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.drain)

    async def _finish(self, services: Services, leaving: Callable[[], None]) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        leaving()
        await self._last_sessions(services)
        services.closing = True
        connections = set(services.connections)
        for connection in connections:
            connection.shut_down()
        if connections:
            sessions = [connection.serving for connection in connections]
            _, late = await asyncio.wait(sessions, timeout=STOP_WITHIN)
            for connection in connections & services.connections:
                connection.abort()
            if late:  # their records are written, too
                await asyncio.wait(late, timeout=_ABORTED_WITHIN)
        await services.drain()

    async def _last_sessions(self, services: Services) -> None:
        """Wait until all sessions have ended, or time is up, or stop() is called."""
        for _ in range(3):  # who was accepted a moment ago is a session after the next turns of the event loop
            await asyncio.sleep(0)
        told = asyncio.create_task(self._stop.wait())
        try:
            async with asyncio.timeout(DRAIN_WITHIN):
                while services.connections and not told.done():
                    one = next(iter(services.connections)).serving
                    await asyncio.wait((one, told), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            told.cancel()


def _prepare(spool: Spool, quarantine: Quarantine) -> None:
    try:
        spool.prepare()
    except OSError as error:
        spool.trouble.happened(error)  # it may come back
    try:
        quarantine.prepare()
    except OSError as error:
        log.warning("what a crash may have left in the quarantine stays there: %s", _reason(error))


def _reason(error: OSError) -> str:
    return f"{os.path.abspath(error.filename)}: {error.strerror}" if error.filename else in_words(error)


def _limits(settings: Settings, stub: StubResolver) -> DialogLimits:
    limits = DialogLimits(**dataclasses.asdict(settings.limits))
    others = other_files(settings, stub.most_sockets)
    return dataclasses.replace(limits, sessions=sessions_within(raise_descriptor_limit(), others, limits.sessions))
