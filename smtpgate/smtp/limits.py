"""The bounds of the dialog. docs/limits.md tells what each is for, and why it hurts no good client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DialogLimits:
    """Section [limits] of the configuration, name by name. Sizes in octets, times in seconds, rates a minute.

    sessions, message_memory: of one process. client_…: of one network, in all processes of the host; 0 is no limit.
    """

    message_size: int = 25 * 2**20
    message_memory: int = 128 * 2**20
    memory_per_message: int = 2 * 2**20
    recipients: int = 1000
    sessions: int = 5000
    command_timeout: float = 300.0
    session_timeout: float = 1800.0
    minimum_data_rate: int = 1024
    soft_error_limit: int = 10
    hard_error_limit: int = 20
    error_delay: float = 1.0
    junk_command_limit: int = 100
    greet_pause: float = 0.0
    pregreet: str = "note"
    client_connections: int = 50
    client_connection_rate: int = 0
    client_message_rate: int = 0
    client_recipient_rate: int = 0
    ipv4_prefix: int = 32
    ipv6_prefix: int = 64


# One part in so many is for whole messages; the rest is for what waits to be written to files.
_WHOLE_MESSAGES = 4


@dataclass(slots=True)
class MessageMemory:
    """What all messages being received at one time have in memory, and may have. In octets.

    per_message: the most that one of them may have; what is more goes to a file.
    """

    limit: int
    per_message: int
    held: int = 0

    @property
    def allowance(self) -> int:
        """What one message may have now."""
        return min(self.per_message, max(self.limit // _WHOLE_MESSAGES - self.held, 0))
