"""The log: one line of JSON for each transaction."""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from smtpgate.record import Record
from smtpgate.trouble import Trouble

log = logging.getLogger(__name__)

_REFUSING = ("reject", "defer", "defer_if_permit")
_encode = json.JSONEncoder(check_circular=False, default=str).encode


class TransactionLog:
    """Writes lines in a thread of its own: an output that stalls keeps nobody waiting.

    write: takes lines joined by line ends, without the last one; all that wait in one call, because around every
    call a thread beside a busy event loop waits for the interpreter's lock. backlog: lines that may wait; the oldest
    are dropped, and counted. trouble: with the output.
    """

    def __init__(self, write: Callable[[str], None], backlog: int) -> None:
        self.trouble = Trouble("lines of the log are dropped", "standard output")
        self._write = write
        self._waiting: deque[str] = deque(maxlen=backlog)
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, record: Record) -> None:
        """Have a record's line written, soon after the next flush(). Never blocks."""
        text = line(record)
        self._dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(text)

    def flush(self) -> None:
        """Have what waits written now. Never blocks."""
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Write what waits, for at most so many seconds. Blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _serve(self) -> None:
        while self._waiting or not self._closing:
            self._wake.wait()
            self._wake.clear()
            # This thread alone takes away, so that what was there stays there.
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                if lines:
                    self._write("\n".join(lines))
                    self.trouble.passed()
                    self._report()
            except Exception as trouble:
                # The reader went away, the disk is full. The record in the store has it all.
                self._dropped += len(lines)
                self.trouble.happened(trouble)

    def _report(self) -> None:
        """It works again: tell what is missing."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("%d lines of the log were dropped, its reader was too slow or away", dropped)


def line(record: Record) -> str:
    """What the log tells of a transaction, in ASCII.

    reply: the last that the client got. shadow: the rules that would have refused it, were they enforced.
    """
    shadow = [rule.rule for rule in record.rules if rule.mode != "enforce" and rule.verdict in _REFUSING]
    return _encode(
        {
            "at": _time(record.at),
            "ref": record.ref,
            "client": record.client,
            "via": [hop["address"] for hop in record.via if "address" in hop],
            "tls": record.tls and record.tls.get("version"),
            "helo": record.helo,
            "from": record.sender,
            "to": record.recipients,
            "outcome": record.outcome,
            "decided_by": record.decided_by,
            "reply": record.replies[-1].reply if record.replies else None,
            "size": record.size,
            "ms": record.ms,
            "shadow": list(dict.fromkeys(shadow)),
        }
    )


def _time(at: float) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    second, microseconds = divmod(round(at * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microseconds // 1000:03}+00:00"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    # Formatting costs a quarter of the line: once a second is enough.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
