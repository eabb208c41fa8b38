"""The bounds of the dialog. docs/limits.md tells what each is for, and why it hurts no good client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DialogLimits:
    """Section [limits] of the configuration, name by name. Sizes in octets, times in seconds.

    sessions: of one process. message_memory: all messages being received at one time. hard_error_limit: mistakes of a
    client before it is sent away (Postfix: smtpd_hard_error_limit).
    """

    message_size: int = 25 * 2**20
    message_memory: int = 512 * 2**20
    recipients: int = 1000
    sessions: int = 1000
    command_timeout: float = 300.0
    hard_error_limit: int = 20


@dataclass(slots=True)
class MessageMemory:
    """What all messages being received at one time hold, and may hold. In octets."""

    limit: int
    held: int = 0
