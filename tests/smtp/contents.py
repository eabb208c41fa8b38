"""Contents for tests that need no dialog."""

from smtpgate.smtp.content import Content, LinePolicy
from smtpgate.smtp.limits import MessageMemory


def new_content(
    *, largest: int = 10**6, memory: MessageMemory | None = None, bare_newline: str = "reject", long_lines: str = "pass"
) -> Content:
    """An empty content."""
    return Content(largest, memory or MessageMemory(10**7), LinePolicy(bare_newline, long_lines))
