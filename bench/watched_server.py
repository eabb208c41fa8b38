"""`python -m bench.watched_server CONFIG REPORT`: smtpgate on the plain event loop in debug mode, watched.

It ends on SIGTERM, as smtpgate does, and then writes what was slow into the report, as JSON. Before it serves, it
blocks the loop twice on purpose: a watch that does not see this has seen nothing.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.event_loop_watch import EventLoopWatch
from smtpgate.cli.settings import load_settings
from smtpgate.config.settings import Settings
from smtpgate.server.line_output import LineOutput
from smtpgate.server.sockets import ListeningSockets
from smtpgate.server.worker import Worker, freeze
from smtpgate.store.migrate import upgrade

THRESHOLD = 0.020


async def _serve(settings: Settings, watch: EventLoopWatch) -> None:
    watch.start(THRESHOLD)
    await prove(watch)
    sockets = ListeningSockets().open(listener.address for listener in settings.listeners)
    await Worker(settings, sockets, LineOutput(1).write).run(ready=lambda: None)


async def prove(watch: EventLoopWatch) -> None:
    """See whether the watch sees a sleeping and a computing callback, and tells them apart. Raises RuntimeError."""
    loop = asyncio.get_running_loop()
    for block in (_sleep, _compute):
        loop.call_soon(block)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    asleep, computing = (slow for slow in watch.slow if "_sleep" in slow.what or "_compute" in slow.what)
    if asleep.blocked < THRESHOLD or computing.cpu < THRESHOLD:
        raise RuntimeError(f"the watch is blind: {watch.slow}")
    watch.slow.clear()


def _sleep() -> None:
    time.sleep(2 * THRESHOLD)


def _compute() -> None:
    until = time.thread_time() + 2 * THRESHOLD
    while time.thread_time() < until:
        pass


def main() -> None:
    """Serve."""
    settings = load_settings(sys.argv[1])
    upgrade(settings.store.url)
    freeze()  # as the server does
    watch = EventLoopWatch()
    asyncio.run(_serve(settings, watch))
    watch.stop()
    slow = [callback._asdict() | {"blocked": callback.blocked, "own": callback.own} for callback in watch.slow]
    Path(sys.argv[2]).write_text(json.dumps({"turns": watch.turns, "slow": slow, "others": watch.others}))


if __name__ == "__main__":
    main()
