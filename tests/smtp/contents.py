"""Contents for tests that need no dialog."""

import asyncio
import tempfile

from smtpgate.content import Content
from smtpgate.smtp.content import Incoming, LinePolicy
from smtpgate.smtp.limits import MessageMemory
from smtpgate.smtp.storage import Storage
from smtpgate.spool import Spool


def new_memory(limit: int = 10**7, per_message: int = 10**7) -> MessageMemory:
    """Room for messages; with these sizes all of them stay in memory."""
    return MessageMemory(limit, per_message)


def new_content(
    *, largest: int = 10**6, memory: MessageMemory | None = None, bare_newline: str = "reject", long_lines: str = "pass"
) -> Incoming:
    """An empty content."""
    storage = Storage(memory or new_memory(), Spool(tempfile.gettempdir()))
    return Incoming(largest, storage, LinePolicy(bare_newline, long_lines))


def taken(incoming: Incoming) -> bytes:
    """What comes of it in the end; nothing if it is refused."""
    content = asyncio.run(incoming.finish())
    return b"".join(content or Content.of(b""))
