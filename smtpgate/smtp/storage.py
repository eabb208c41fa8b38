"""Where a message is kept while it comes in: in memory, and beyond a bound in a file."""

import asyncio
import logging

from smtpgate.content import Content, head_length
from smtpgate.smtp.limits import MessageMemory
from smtpgate.spool import Spool, SpoolFile

log = logging.getLogger(__name__)

# How much is gathered for one write, in bytes.
_BATCH = 128 * 1024


class Storage:
    """Keeps one message: append() what comes, flush() whenever it is_behind, then finish(), and in any case close().

    has_failed: there was no room for it, and nothing of it is kept.
    """

    def __init__(self, memory: MessageMemory, spool: Spool) -> None:
        self.has_failed = False
        self._memory = memory
        self._spool = spool
        self._held = 0
        self._buffer = bytearray()  # all of it; or, once there is a file, what is not yet written
        self._head: bytes | None = None  # once there is a file
        self._file: SpoolFile | None = None
        self._content: Content | None = None

    def append(self, piece: bytes) -> None:
        """Keep the next octets."""
        if self.has_failed:
            return
        if self._memory.held + len(piece) > self._memory.limit:
            log.warning("a message was put off: no memory is left for it")
            self._fail()
            return
        self._buffer += piece
        self._count()

    @property
    def is_behind(self) -> bool:
        """Whether flush() must be awaited before more is read from the client."""
        allowance = self._memory.allowance
        return len(self._buffer) > (allowance if self._head is None else min(allowance, _BATCH))

    async def flush(self) -> None:
        """Write to the file what can be written."""
        if self._head is None:
            end = head_length(self._buffer)
            if end is None:  # the head stays in memory, so it must be known first
                return
            self._head = bytes(self._buffer[:end])
            del self._buffer[:end]
        batch, self._buffer = self._buffer, bytearray()
        loop = asyncio.get_running_loop()
        try:
            self._file = await loop.run_in_executor(self._spool.threads, _write, self._spool, self._file, batch)
        except OSError as error:
            self._spool.trouble.happened(error)
            self._fail()
        else:
            self._count()

    async def finish(self) -> Content | None:
        """The content, there until close(); None if it has failed."""
        if self._head is not None and self._buffer:
            await self.flush()
        if self.has_failed:
            return None
        if self._head is None or self._file is None:
            self._content = Content.of(self._buffer)
        else:
            self._content = Content(self._head, self._file)
            self._spool.trouble.passed()  # not with its first batch, for which a full disk may have room
        return self._content

    def close(self) -> None:
        """Nobody needs it any more: the memory is free for others, the file is gone."""
        if self._content is not None:
            self._content.close()
        self._buffer = bytearray()
        self._head = self._file = self._content = None
        self._count()

    def _count(self) -> None:
        held = len(self._buffer) + len(self._head or b"")
        self._memory.held += held - self._held
        self._held = held

    def _fail(self) -> None:
        self.has_failed = True
        self.close()


def _write(spool: Spool, file: SpoolFile | None, batch: bytearray) -> SpoolFile:
    """Write to the file, which is opened for the first batch."""
    file = file or spool.open()
    file.append(batch)
    return file
