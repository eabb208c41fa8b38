"""The record: one transaction's whole story, and the reference under which it is found again."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, NamedTuple

# Crockford's base 32: no I, L, O, U, so that a reference survives a telephone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
# What one record may hold, so that a client cannot fill the memory: later entries are only counted.
MAX_ENTRIES = 400


def new_reference() -> str:
    """A reference of 8 characters, 40 random bits. Each process has its own, after a fork too."""
    number = random.getrandbits(40)  # no secret: without a system call for each message
    return _PAIRS[number >> 30] + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]


class RuleEntry(NamedTuple):
    """One rule that was reached.

    verdict: the action's word, "error", or "unfinished". us: how long it took, in microseconds. error: what failed, for
    us and never for the wire. policy: whose rule it is, "" for everybody's.
    """

    phase: str
    rule: str
    mode: str
    recipient: str | None = None
    verdict: str = "unfinished"
    reply: str | None = None
    evidence: Any = None
    us: int = 0
    error: str | None = None
    policy: str = ""


class ReplyEntry(NamedTuple):
    """One reply that the client got: to RCPT and end of data always, to anything else only a 4xx or 5xx."""

    command: str
    reply: str


class RelayEntry(NamedTuple):
    """One answer of the downstream. command: what was put to it. us: after how many microseconds."""

    command: str
    reply: str
    us: int = 0


@dataclass(slots=True)
class Record:
    """A transaction, or what happened in a session outside of any.

    at: when it began, seconds since 1970; began: the same by a clock that is never set back. outcome: "accepted",
    "rejected", "deferred", "discarded", "held" (in the quarantine), "abandoned" (the client left or gave up).
    decided_by: the rule that refused it or wants it discarded or held, or "downstream" or "smtpgate" that refused it.
    Sizes in bytes, times in milliseconds.
    via: the trusted servers that told who the client is, or why one was not believed ("failed"). forwarded: what one
    told by XFORWARD of where the message came from. tls: what protected the session, or {"failed": why}; None in
    plaintext.
    listed: the rules that already have an entry; pending: the tasks of shadow rules that nobody waited for, and what
    takes their outcomes.
    """

    at: float
    client: str
    listener: str
    ref: str = field(default_factory=new_reference)
    via: list[dict[str, Any]] = field(default_factory=list)
    forwarded: Mapping[str, str] | None = None
    tls: dict[str, Any] | None = None
    helo: str | None = None
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    rules: list[RuleEntry] = field(default_factory=list)
    replies: list[ReplyEntry] = field(default_factory=list)
    relay: list[RelayEntry] = field(default_factory=list)
    size: int | None = None
    outcome: str = "abandoned"
    decided_by: str | None = None
    ms: float = 0.0
    omitted: int = 0
    began: float = 0.0
    listed: set[Any] = field(default_factory=set)
    pending: dict[Any, Callable[[Any], None]] = field(default_factory=dict)

    def add(self, entries: list[Any], entry: Any) -> bool:
        """Append to one of the lists, within the bound; whether there was room."""
        if len(entries) >= MAX_ENTRIES:
            self.omitted += 1
            return False
        entries.append(entry)
        return True

    def text(self) -> str:
        """The record as JSON, in ASCII, of which story() makes the whole story again. Raises what json raises.

        It is written as a list of its values, each entry too, without their names: that is done for every message, and
        takes half the time and half the room.
        """
        return _encode(_facts_of(self))


def story(text: str) -> dict[str, Any]:
    """The record as plain data (JSON types), from its text."""
    read = json.loads(text)
    # Those of earlier versions have the names of their facts, the oldest those of their entries too, and milliseconds.
    is_earlier = isinstance(read, dict)
    facts: dict[str, Any] = read if is_earlier else dict(zip(_FACTS, read, strict=False))
    for name, names in _ENTRIES.items():
        facts[name] = [
            entry if isinstance(entry, dict) else dict(zip(names, entry, strict=False)) for entry in facts[name]
        ]
        for entry in facts[name]:
            if "us" in entry:
                entry["ms"] = entry.pop("us") / (1 if is_earlier else 1000)
    return facts


# Evidence is plain data: nothing is spent on looking for circles in it.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=str).encode
# In the order in which they are written: a new one comes last.
_FACTS = tuple(one.name for one in fields(Record) if one.name not in ("began", "listed", "pending"))
_facts_of = attrgetter(*_FACTS)
_ENTRIES = {"rules": RuleEntry._fields, "replies": ReplyEntry._fields, "relay": RelayEntry._fields}
