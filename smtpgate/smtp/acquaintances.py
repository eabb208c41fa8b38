"""Clients that waited for the banner lately: they need not show it again (Postfix: postscreen_greet_ttl)."""

from collections import OrderedDict

_REMEMBERED_FOR = 7 * 86400.0
_MOST = 50_000


class Acquaintances:
    """Networks and when they last passed, the least recent forgotten first. Times in seconds of any clock."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._passed: OrderedDict[bytes, float] = OrderedDict()

    def knows(self, client: bytes, now: float) -> bool:
        """Whether the client passed within the last seven days."""
        passed = self._passed.get(client)
        return passed is not None and now - passed < _REMEMBERED_FOR

    def passed(self, client: bytes, now: float) -> None:
        """The client waited for its turn."""
        self._passed[client] = now
        self._passed.move_to_end(client)
        if len(self._passed) > self._most:
            self._passed.popitem(last=False)

    def forget(self, client: bytes) -> None:
        """The client did not wait after all."""
        self._passed.pop(client, None)
