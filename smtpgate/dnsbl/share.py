"""How many of the clients a list lists: one that suddenly lists most of them is broken, or has died."""

import math
from collections import OrderedDict

from smtpgate.values import IPAddress

# The last so many client networks make up the picture, and it must be of so many to mean something: one busy client,
# or one network full of them, is one.
_RECENT, _FLOOR = 100, 50
_MOST = 0.9
# Before anything is known of a list. Of clients that a mail server sees, four of five are listed somewhere.
_USUAL, _WEIGHT = 0.8, 50
_MEMORY = 500  # networks over which the usual share is learnt
# What happens less often than this by chance is no chance.
_CHANCE = 1e-4


class ListedShare:
    """The share of client networks with a listed client: among the recent ones, and usually, of 1."""

    def __init__(self) -> None:
        self.usual = _USUAL
        self._learnt = 0
        self._recent: OrderedDict[bytes, tuple[IPAddress, bool]] = OrderedDict()

    @property
    def networks(self) -> int:
        """How many recent networks there are."""
        return len(self._recent)

    @property
    def listed(self) -> int:
        """How many of them have a listed client."""
        return sum(listed for _, listed in self._recent.values())

    def note(self, client: IPAddress, listed: bool) -> None:
        """A client was asked about, or something that it said."""
        octets = client.packed
        network = octets[: 3 if len(octets) == 4 else 6]  # /24, or /48
        known, before = self._recent.pop(network, (None, False))
        # Several rules ask one list about the same client, and not all of its answers count for each of them.
        self._recent[network] = client, listed or (before and known == client)
        if len(self._recent) > _RECENT:
            _, (_, old) = self._recent.popitem(last=False)
            self._learn(old)

    def is_suspicious(self) -> bool:
        """Whether most of the recent networks are listed, and more than chance can make of the usual share."""
        networks = self.networks
        if networks < _FLOOR or (listed := self.listed) < networks * _MOST:
            return False
        return _at_most(networks - listed, networks * (1 - self.usual)) < _CHANCE

    def forget_recent(self) -> None:
        """Begin a new picture; what is usual stays so."""
        self._recent.clear()

    def _learn(self, listed: bool) -> None:
        self._learnt = min(self._learnt + 1, _MEMORY - _WEIGHT)
        self.usual += (listed - self.usual) / (self._learnt + _WEIGHT)


def _at_most(count: int, expected: float) -> float:
    """The probability that something rare, expected so often, happens at most so often (Poisson)."""
    return math.exp(-expected) * sum(expected**times / math.factorial(times) for times in range(count + 1))
