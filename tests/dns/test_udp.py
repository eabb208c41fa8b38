"""What comes in over one socket, and what of it counts as forged."""

import socket
from collections.abc import Iterator

import pytest

from smtpgate.dns.udp import MAX_USELESS, UdpSocket
from smtpgate.values import Endpoint
from tests.loops import until


class Asker:
    """Waits for a packet."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.is_flooded = False

    def received(self, packet: bytes) -> bool:
        self.got.append(packet)
        return True

    def refused(self, error: OSError) -> None:
        raise error

    def flooded(self) -> None:
        self.is_flooded = True


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


async def exchange(server: socket.socket, identifiers: list[int]) -> Asker:
    """Questions 1 to 200 are given up; then packets with these identifiers come, and the answer to question 0."""
    sockets = UdpSocket(Endpoint(*server.getsockname()), 0.0, lambda _: None)
    asker = Asker()
    for identifier in range(201):
        sockets.send(identifier.to_bytes(2), identifier.to_bytes(2), asker)
        _, client = server.recvfrom(100)
    for identifier in range(1, 201):
        sockets.forget(identifier.to_bytes(2))
    for identifier in [*identifiers, 0]:
        server.sendto(identifier.to_bytes(2), client)
    await until(lambda: asker.got or asker.is_flooded)
    sockets.close()
    return asker


async def test_late_answers_are_no_forged_ones(server: socket.socket) -> None:
    asker = await exchange(server, [*range(1, 201)])
    assert (asker.got, asker.is_flooded) == ([b"\0\0"], False)


async def test_answers_to_what_was_never_asked_are(server: socket.socket) -> None:
    assert (await exchange(server, [*range(1000, 1001 + MAX_USELESS)])).is_flooded


async def test_a_late_answer_that_comes_again_and_again_is(server: socket.socket) -> None:
    assert (await exchange(server, [1] * (MAX_USELESS + 2))).is_flooded
