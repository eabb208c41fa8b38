"""The UDP sockets over which one name server is asked.

Each socket is connected: the kernel drops what comes from elsewhere, and tells when nobody listens there. The sockets
are read directly (add_reader), which costs half of what a datagram transport does, and is the same on every event loop.
"""

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Protocol

from smtpgate.values import Endpoint

SOCKETS = 16  # of one server; each has a port that an attacker would have to guess (RFC 5452 §9.2)
MAX_USELESS = 100  # packets on one socket that answer nothing; more of them are no accident
_MAX_QUESTIONS = 2000  # over one socket; then another port is taken
_MAX_AGE = 60.0  # seconds
_MAX_RETIRED = 64  # sockets that wait for their last answers; while there are so many, ports are kept longer
MOST_SOCKETS = SOCKETS + _MAX_RETIRED
_LARGEST = 4096  # octets; EDNS lets no server send more than 1232
_AT_ONCE = 64  # packets read before others have their turn
_BUFFER = 1 << 20  # octets that the kernel may keep for a socket, if it allows that many


class Waiting(Protocol):
    """What waits for a packet: one try of one question."""

    def received(self, packet: bytes) -> bool:
        """Take a packet; False if it cannot be the answer."""
        ...

    def refused(self, error: OSError) -> None:
        """There will be no packet: nobody listens there. The socket is closed."""
        ...

    def flooded(self) -> None:
        """Too many useless packets came, so that none can be trusted. The socket is closed."""
        ...


class UdpSocket:
    """One socket, and who waits for an answer on it, by the identifier of the question (two octets).

    until: when it is time for another port. broken: called before those that wait are told that it is of no more use.
    """

    def __init__(self, server: Endpoint, now: float, broken: Callable[["UdpSocket"], None]) -> None:
        self.waiting: dict[bytes, Waiting] = {}
        self.useless = 0
        self._forgotten: set[bytes] = set()  # an answer may still come, or again: no forger is slow or repeats himself
        # Not all at the same time, and not after a number that can be foreseen.
        self._left = random.randint(_MAX_QUESTIONS // 2, _MAX_QUESTIONS)  # noqa: S311 - no secret
        self.until = now + random.uniform(_MAX_AGE / 2, _MAX_AGE)  # noqa: S311
        self._retired = False
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.connect((server.host, server.port))  # does not wait
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def send(self, identifier: bytes, question: bytes, waiting: Waiting) -> None:
        """Ask. OSError: the server cannot be reached."""
        self._left -= 1
        if self._left <= 0:
            self.until = 0.0  # no matter when
        try:
            self._socket.send(question)
        except BlockingIOError:
            pass  # as good as lost on the way: it will be sent again
        except OSError as error:  # about an earlier question; this one was not sent
            self._refused(error)
            raise
        self.waiting[identifier] = waiting

    def forget(self, identifier: bytes) -> None:
        """Nobody waits for this answer any more."""
        if self.waiting.pop(identifier, None) is not None:
            self._forgotten.add(identifier)
        if self._retired and not self.waiting:
            self.close()

    def retire(self) -> None:
        """Take no more questions, and close after the last answer."""
        self._retired = True
        if not self.waiting:
            self.close()

    def close(self) -> None:
        """Close it now."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self.waiting.clear()
        self._retired = True

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._socket.fileno() < 0

    def _readable(self) -> None:
        waiting = self.waiting
        for _ in range(_AT_ONCE):
            try:
                packet = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:  # ICMP told that nobody listens there
                self._refused(error)
                return
            identifier = packet[:2]
            who = waiting.get(identifier)
            if who is not None and who.received(packet):
                waiting.pop(identifier, None)
                self._forgotten.add(identifier)
            elif who is None and identifier in self._forgotten:
                self._forgotten.discard(identifier)
            else:  # a forged packet must not end the question: the good one follows (CVE-2023-29483)
                self.useless += 1
                if self.useless > MAX_USELESS:
                    self._flooded()
                    return
            if not waiting:  # asking the kernel whether there is more would cost as much as reading did
                if self._retired:
                    self.close()
                return

    def _refused(self, error: OSError) -> None:
        for one in self._break():
            one.refused(error)

    def _flooded(self) -> None:
        for one in self._break():
            one.flooded()

    def _break(self) -> tuple[Waiting, ...]:
        waited = tuple(self.waiting.values())
        self.close()
        self._broken(self)
        return waited


class UdpPool:
    """The sockets to one server; they are opened when they are needed, and replaced after a while."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server
        self._sockets: list[UdpSocket | None] = [None] * SOCKETS
        self._retired: set[UdpSocket] = set()
        self._useless = 0

    def socket(self, chance: int, now: float) -> UdpSocket:
        """One of them. chance: 0 to 255, at random. OSError: there is no way to the server."""
        place = chance % SOCKETS
        chosen = self._sockets[place]
        if chosen is None or (now >= chosen.until and self._retire(chosen)):
            chosen = self._sockets[place] = UdpSocket(self._server, now, self._drop)
        return chosen

    def close(self) -> None:
        """Close all of them."""
        for one in (*self._sockets, *self._retired):
            if one is not None:
                one.close()
        self._sockets = [None] * SOCKETS
        self._retired.clear()

    def __len__(self) -> int:
        """How many are open."""
        return sum(one is not None and not one.is_closed for one in (*self._sockets, *self._retired))

    @property
    def useless(self) -> int:
        """How many packets came that answered nothing."""
        return self._useless + sum(one.useless for one in (*self._sockets, *self._retired) if one is not None)

    def _retire(self, one: UdpSocket) -> bool:
        for old in [old for old in self._retired if old.is_closed]:
            self._drop(old)
        if len(self._retired) >= _MAX_RETIRED:
            return False
        self._retired.add(one)
        one.retire()
        return True

    def _drop(self, one: UdpSocket) -> None:
        """It is closed."""
        self._useless += one.useless
        self._retired.discard(one)
        if one in self._sockets:
            self._sockets[self._sockets.index(one)] = None
