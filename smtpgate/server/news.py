"""What the log tells of the workers' reports; of a process without a supervisor's own, too."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from smtpgate.server.descriptors import FileNews
from smtpgate.server.dns_news import NameServerNews
from smtpgate.server.list_news import ListNews
from smtpgate.server.reports import EVERY
from smtpgate.server.worker import Worker


class News:
    """Hears how the workers are, and tells what has changed for all of them."""

    def __init__(self) -> None:
        self._lists = ListNews()
        self._name_servers = NameServerNews(time.monotonic)
        self._files = FileNews(time.monotonic)

    def hear(self, reports: Collection[Mapping[str, Any]]) -> None:
        """The last report of each worker that serves (Worker.facts())."""
        self._lists.hear(report["lists"] for report in reports)
        self._name_servers.hear(report["dns"] for report in reports)
        self._files.hear(any(report["files_short"] for report in reports))


async def serve_alone(worker: Worker, ready: Callable[[], None]) -> None:
    """Serve without a supervisor (`smtpgate serve --no-fork`). ready: called when it serves."""
    hearing: asyncio.Task[None] | None = None

    def serves() -> None:
        nonlocal hearing
        ready()
        hearing = asyncio.create_task(_hear(worker))

    try:
        await worker.run(serves)
    finally:
        if hearing is not None:
            hearing.cancel()


async def _hear(worker: Worker) -> None:
    news = News()
    while True:
        news.hear([worker.facts()])
        await asyncio.sleep(EVERY)
