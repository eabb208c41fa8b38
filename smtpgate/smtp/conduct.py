"""How one client behaves: its mistakes, its pace, its share, and how much patience is left with it."""

from smtpgate.phases.reply import Reply
from smtpgate.smtp.clients import Guest
from smtpgate.smtp.pace import Pace
from smtpgate.smtp.patience import Patience
from smtpgate.smtp.reception import Reception
from smtpgate.smtp.services import Services

# Postfix: smtpd_junk_command_limit. A second greeting is one too.
_JUNK = frozenset({"NOOP", "VRFY", "EXPN", "HELP", "RSET"})
_GREETINGS = frozenset({"HELO", "EHLO"})

# Postfix: smtpd_timeout, smtpd_hard_error_limit and smtpd_junk_command_limit under overload.
STRESS_TIMEOUT = 10.0
_STRESS_ERRORS = 1
_STRESS_JUNK = 1


class Conduct(Patience):
    """One session's. guest: its account with its client network, None for mynetworks, which are trusted.

    hopeless_from: from when on the session, on the services' clock, has gone on for too long without a message.
    """

    def __init__(self, reception: Reception, services: Services) -> None:
        super().__init__(services.limits)
        self.guest: Guest | None = services.clients.guest(reception.session.client_address)
        self._reception = reception
        self._services = services
        self._pace: Pace | None = None
        self.hopeless_from = services.monotonic() + services.limits.session_timeout

    @property
    def is_pressed(self) -> bool:
        """Whether sessions are running out and this one does nothing that must not be disturbed."""
        return self._services.room.stress and self._reception.tx is None and self.guest is not None

    # --- mistakes

    @property
    def is_unbearable(self) -> bool:
        """Whether there were more mistakes than any client is forgiven."""
        return self.mistakes >= (_STRESS_ERRORS if self.is_pressed else self._limits.hard_error_limit)

    def command(self, verb: str) -> None:
        """A command was understood: it may be one that brings no message nearer."""
        if verb in _JUNK or (verb in _GREETINGS and self._reception.session.helo is not None):
            self.junk(_STRESS_JUNK if self.is_pressed else self._limits.junk_command_limit)

    def answered(self, reply: Reply) -> None:
        """A refusal for good counts against the client; one after which it may try again does not."""
        if reply.code >= 500:
            self.error()

    def message_answered(self, reply: Reply) -> None:
        """The answer to a whole message: with an accepted one everything begins anew."""
        self.answered(reply)
        if reply.is_positive:
            self.delivered()
            self.hopeless_from = self._services.monotonic() + self._limits.session_timeout

    # --- time

    @property
    def timeout(self) -> float:
        """Seconds that the client may be silent."""
        usual = self._limits.command_timeout
        return min(usual, STRESS_TIMEOUT) if self.is_pressed else usual

    def keeps_up(self, octets: int, waited: float) -> bool:
        """Whether a message comes fast enough; `waited` seconds for these octets."""
        if self._pace is None:
            self._pace = Pace(self._limits.minimum_data_rate, self._limits.command_timeout)
        return self._pace.keeps_up(octets, waited)

    # --- before the banner

    @property
    def greet_pause(self) -> float:
        """Seconds that this client must wait for the banner."""
        pause, known = self._limits.greet_pause, self._services.acquaintances
        if not pause or self.guest is None or known.knows(self.guest.network, self._services.monotonic()):
            return 0.0
        return pause

    def waited_for_banner(self) -> None:
        """It showed that it does: the next time it need not."""
        if self.guest is not None and self._limits.greet_pause:
            self._services.acquaintances.passed(self.guest.network, self._services.monotonic())

    def talked_early(self) -> bool:
        """It sent something before the banner; whether that ends the session."""
        if self.guest is None:
            return False
        self._services.acquaintances.forget(self.guest.network)
        return self._limits.pregreet == "drop"

    # --- shares

    def message_share(self) -> Reply | None:
        """One more message is begun, with a pace of its own; a reply is a refusal."""
        self._pace = None
        return self.guest.message() if self.guest is not None else None

    def recipient_share(self) -> Reply | None:
        """One more recipient is given; a reply is a refusal."""
        return self.guest.recipient() if self.guest is not None else None

    def close(self) -> None:
        """The session is over."""
        if self.guest is not None:
            self.guest.close()
