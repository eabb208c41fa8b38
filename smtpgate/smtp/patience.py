"""Counting a client's mistakes: a few are answered at once, more with growing delay, and then it is sent away."""

from smtpgate.smtp.limits import DialogLimits

# A delay grows by error_delay with each mistake, up to so many times.
_LONGEST = 10


class Patience:
    """One session's mistakes and junk commands since its last delivered message (Postfix: smtpd_error_sleep_time).

    mistakes: how many.
    """

    def __init__(self, limits: DialogLimits) -> None:
        self.mistakes = 0
        self._limits = limits
        self._junk = 0

    def error(self) -> None:
        """The client made a mistake, or was refused for good."""
        self.mistakes += 1

    def junk(self, limit: int) -> None:
        """The client sent a command that brings no message nearer; more than `limit` of them are mistakes."""
        self._junk += 1
        if self._junk > limit:
            self.mistakes += 1

    def delivered(self) -> None:
        """A message was accepted: what was before is forgiven."""
        self.mistakes = self._junk = 0

    @property
    def delay(self) -> float:
        """Seconds that the reply to the last mistake waits."""
        over = self.mistakes - self._limits.soft_error_limit
        return self._limits.error_delay * min(max(over, 0), _LONGEST)
