"""One worker: builds the services from the settings, listens, serves, and stops without losing anything."""

import asyncio
import dataclasses
import gc
import logging
import os
import signal
import time
from collections.abc import Callable

from smtpgate.config.settings import Settings
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.stub import StubResolver
from smtpgate.phases.context import Context
from smtpgate.phases.engine import Engine
from smtpgate.relay.open import open_downstream
from smtpgate.server.recorder import Recorder
from smtpgate.server.tls import ServerTls
from smtpgate.smtp.content import LinePolicy
from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.limits import DialogLimits
from smtpgate.smtp.services import Services
from smtpgate.store.sqlite import open_store

log = logging.getLogger(__name__)

# How long sessions may take to end when the server stops, in seconds. A hand-over is always waited for.
STOP_WITHIN = 30.0
BACKLOG = 1024


def freeze() -> None:
    """Take what is loaded out of the garbage collector's sight; before the event loop starts.

    A full collection would hold up every session for as long as it takes to look at all modules: 50 ms and more.
    """
    gc.collect()
    gc.freeze()


class ListenError(Exception):
    """An address cannot be listened on; the text says which and why."""


class Worker:
    """A serving process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until stop() or a signal. ready: called once all listeners are open. Raises ListenError."""
        settings = self._settings
        store = open_store(settings.store.url)
        recorder = Recorder(store, _write_line, time.time, settings.record.keep)
        downstream = open_downstream(
            settings.relay.url,
            hostname=settings.server.hostname,
            connect_timeout=settings.relay.connect_timeout,
            timeout=settings.relay.timeout,
        )
        context = Context(
            dns=CachingResolver(StubResolver(settings.dns.nameservers or None, settings.dns.timeout)),
            greylist=store,
            clock=time.time,
            hostname=settings.server.hostname,
            mynetworks=settings.server.mynetworks,
            relay_domains=settings.server.relay_domains,
        )
        services = Services(
            hostname=settings.server.hostname,
            engine=Engine(settings.phases, context, delay_reject=settings.server.delay_reject),
            downstream=downstream,
            record=recorder.put,
            clock=time.time,
            limits=DialogLimits(**dataclasses.asdict(settings.limits)),
            lines=LinePolicy(settings.server.bare_newline, settings.server.long_lines),
            mynetworks=settings.server.mynetworks,
        )
        tls = ServerTls(settings.tls) if settings.has_tls else None
        watching = asyncio.create_task(tls.watch()) if tls else None
        services.tls_context = tls.context if tls else None
        await recorder.start()
        try:
            await self._listen(services)
            self._on_signals()
            ready()
            await self._stop.wait()
            await self._finish(services)
        finally:
            if watching:
                watching.cancel()
            await recorder.close(STOP_WITHIN)
            await downstream.close()
            await store.close()

    def stop(self) -> None:
        """Stop serving: no new sessions, those between transactions are told at once, the others may finish."""
        self._stop.set()

    async def _listen(self, services: Services) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._settings.listeners:
            name = str(listener.address)
            try:
                server = await loop.create_server(
                    lambda name=name, tls=listener.tls: Dialog(services, name, loop=loop, tls=tls),  # type: ignore[misc]
                    listener.host,
                    listener.port,
                    backlog=BACKLOG,
                )
            except OSError as error:
                for opened in self._servers:
                    opened.close()
                reason = os.strerror(error.errno) if error.errno else error  # asyncio's own text repeats the address
                raise ListenError(f"cannot listen on {name}: {reason}") from error
            self._servers.append(server)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _finish(self, services: Services) -> None:
        services.closing = True
        for server in self._servers:
            server.close()
        connections = set(services.connections)
        for connection in connections:
            connection.shut_down()
        if connections:
            ended = asyncio.gather(*(connection.ended.wait() for connection in connections))
            try:
                await asyncio.wait_for(ended, STOP_WITHIN)
            except TimeoutError:
                for connection in services.connections:
                    connection.abort()
        await services.drain()


def _write_line(line: str) -> None:
    """Write to standard output, in a thread of the recorder's.

    Not through sys.stdout: a thread that is stuck in there when the process ends makes Python abort.
    """
    data = line.encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]
