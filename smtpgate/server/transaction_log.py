"""The log: one line of JSON for each transaction."""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger(__name__)

_REFUSING = ("reject", "defer", "defer_if_permit")


class TransactionLog:
    """Writes lines in a thread of its own: an output that stalls keeps nobody waiting.

    write: takes lines joined by line ends, without the last one; all that wait in one call, because around every
    call a thread beside a busy event loop waits for the interpreter's lock. backlog: lines that may wait; the oldest
    are dropped, and counted.
    """

    def __init__(self, write: Callable[[str], None], backlog: int) -> None:
        self._write = write
        self._waiting: deque[dict[str, Any]] = deque(maxlen=backlog)
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, story: dict[str, Any]) -> None:
        """Have a line written, soon after the next flush(). Never blocks."""
        self._dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(summary(story))

    def flush(self) -> None:
        """Have what waits written now. Never blocks."""
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Write what waits, for at most so many seconds. Blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _serve(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            # This thread alone takes away, so that what was there stays there.
            lines = [json.dumps(self._waiting.popleft(), default=str) for _ in range(len(self._waiting))]
            try:
                if lines:
                    self._write("\n".join(lines))
                    self._report()
            except Exception as trouble:
                # The reader went away, the disk is full. The record in the store has it all.
                self._dropped += len(lines)
                log.debug("the log cannot be written: %s", trouble)

    def _report(self) -> None:
        """It works again: tell what is missing."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("%d lines of the log were dropped, its reader was too slow or away", dropped)


def summary(story: dict[str, Any]) -> dict[str, Any]:
    """What a line tells of a transaction.

    reply: the last that the client got. shadow: the rules that would have refused it, were they enforced.
    """
    replies = story["replies"]
    shadow = [rule["rule"] for rule in story["rules"] if rule["mode"] != "enforce" and rule["verdict"] in _REFUSING]
    return {
        "at": datetime.fromtimestamp(story["at"], UTC).isoformat(timespec="milliseconds"),
        "ref": story["ref"],
        "client": story["client"],
        "via": [hop["address"] for hop in story["via"] if "address" in hop],
        "tls": story["tls"] and story["tls"].get("version"),
        "helo": story["helo"],
        "from": story["sender"],
        "to": story["recipients"],
        "outcome": story["outcome"],
        "decided_by": story["decided_by"],
        "reply": replies[-1]["reply"] if replies else None,
        "size": story["size"],
        "ms": story["ms"],
        "shadow": list(dict.fromkeys(shadow)),
    }
