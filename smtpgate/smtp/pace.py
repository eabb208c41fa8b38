"""Whether a message comes fast enough: a client that drips bytes holds a session for ever otherwise."""


class Pace:
    """Seconds of waiting that a client has left: each octet earns some, waiting costs (Postfix: smtpd_min_data_rate).

    rate: octets that earn one second. allowance: seconds to begin with, and the most that can be saved up, so that no
    amount of data buys hours of silence. Only the time spent waiting for the client counts, not our own.
    """

    __slots__ = ("_allowance", "_left", "_rate")

    def __init__(self, rate: int, allowance: float) -> None:
        self._rate = rate
        self._allowance = self._left = allowance

    def keeps_up(self, octets: int, waited: float) -> bool:
        """Count what came and how many seconds it was waited for; False if that was too slow."""
        self._left = min(self._left - waited + octets / self._rate, self._allowance)
        return self._left >= 0
