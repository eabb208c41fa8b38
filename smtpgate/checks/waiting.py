"""Waiting, which costs the client time and us nothing."""

from asyncio import sleep as idle
from dataclasses import dataclass
from typing import Any

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import DUNNO, Verdict

# The engine gives a rule 25 seconds, and a client waits for an answer for five minutes (RFC 5321 §4.5.3.2).
_LONGEST = 20


def pause(value: Any) -> int:
    """Whole seconds, as a number or as Postfix writes it behind the name."""
    seconds = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= _LONGEST:
        raise ValueError(f"whole seconds from 1 to {_LONGEST}")
    return seconds


@dataclass(frozen=True, slots=True)
class SleepOptions:
    """How long to wait, in seconds."""

    seconds: int = option(pause, help="how long the client waits, in seconds", argument=True)


async def sleep(tx: Transaction, ctx: Context, options: SleepOptions) -> Verdict:
    """Let the client wait, then go on. Postfix: sleep."""
    await idle(options.seconds)
    return DUNNO
