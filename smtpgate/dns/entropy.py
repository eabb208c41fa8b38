"""Random octets that nobody can predict, fetched many at a time: asking the kernel costs more than using them."""

import os

_SUPPLY = 4096  # octets


class Entropy:
    """A supply of random octets. Not to be shared by two processes: each makes its own after the fork."""

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many octets, of a supply's size at most."""
        end = self._at + count
        if end > len(self._octets):
            self._octets = os.urandom(_SUPPLY)
            self._at, end = 0, count
        taken = self._octets[self._at : end]
        self._at = end
        return taken
