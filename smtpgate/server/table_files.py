"""Access tables in files: read again when they change, beside the event loop."""

import asyncio
import logging
from collections.abc import Iterable

from smtpgate.phases.access_table import AccessTable
from smtpgate.tables.files import Stamp, TableText
from smtpgate.tables.source import Problem

log = logging.getLogger(__name__)


class TableFiles:
    """Watches the files of tables. check_every: seconds between two looks at them."""

    def __init__(self, tables: Iterable[AccessTable], *, check_every: float = 5.0) -> None:
        self._tables = [table for table in tables if table.file is not None]
        self._check_every = check_every

    async def watch(self) -> None:
        """Read them again whenever they change, until cancelled."""
        while self._tables:
            await asyncio.sleep(self._check_every)
            for table in self._tables:
                try:
                    await self.refresh(table)
                except Exception:
                    log.exception("the table %s cannot be read again", table.name)

    async def refresh(self, table: AccessTable) -> None:
        """Read a table again if its file changed; one that is not right is not used."""
        stamp, read, problems = await asyncio.to_thread(_read, table)
        if stamp == table.stamp:
            return
        table.stamp = stamp  # a file that is wrong is told about once
        if problems or read is None:
            log.error("the new %s is not used, the old one stays: %s", table.name, _told(problems))
            return
        table.content = read.table
        log.info("%s changed and is used from now on, with %d entries", table.name, len(read.table.entries))


def _read(table: AccessTable) -> tuple[Stamp | None, TableText | None, list[Problem]]:
    assert table.file is not None
    stamp = table.file.stamp()
    if stamp == table.stamp:
        return stamp, None, []
    try:
        read = table.file.read()
    except (OSError, ValueError) as error:
        return stamp, None, [Problem(0, str(getattr(error, "strerror", None) or error))]
    return stamp, read, [*read.problems, *table.problems(read.table)]


def _told(problems: list[Problem]) -> str:
    return "; ".join(f"line {line}: {text}" if line else text for line, text in problems[:5])
