"""Listening sockets: bound all or none, kept while they are wanted, taken over from systemd."""

import os
import socket
from collections.abc import Iterator

import pytest

from smtpgate.server.sockets import ListenError, ListeningSockets
from smtpgate.server.systemd import passed_sockets
from smtpgate.values import Endpoint


def address_of(listening: socket.socket) -> Endpoint:
    return Endpoint(*listening.getsockname()[:2])


def free(host: str = "127.0.0.1") -> Endpoint:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        return address_of(listening)


def accepts(endpoint: Endpoint) -> bool:
    try:
        socket.create_connection((endpoint.host, endpoint.port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def sockets() -> Iterator[ListeningSockets]:
    opened = ListeningSockets()
    yield opened
    opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_listened_on(host: str, sockets: ListeningSockets) -> None:
    endpoint = free(host)
    sockets.open([endpoint])
    assert accepts(endpoint)
    sockets.close()
    assert not accepts(endpoint)


def test_what_is_open_stays_the_same_socket(sockets: ListeningSockets) -> None:
    one, other = free(), free()
    before = sockets.open([one])
    after = sockets.open([one, other])
    assert after[one] is before[one]
    assert accepts(other)


def test_all_or_none(sockets: ListeningSockets) -> None:
    one = free()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(
            ListenError, match=r"^cannot listen on 127\.0\.0\.1:\d+: Address already in use: `ss -ltnp` tells who"
        ),
    ):
        sockets.open([one, address_of(taken)])
    assert not accepts(one)


def test_a_failed_change_leaves_what_was_there(sockets: ListeningSockets) -> None:
    one = free()
    sockets.open([one])
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenError):
        sockets.open([address_of(taken), one])
    assert accepts(one)


def test_a_removed_address_is_closed(sockets: ListeningSockets) -> None:
    one, other = free(), free()
    sockets.open([one, other])
    sockets.close_all_but({other})
    assert not accepts(one)
    assert accepts(other)


def test_a_worker_closes_what_it_does_not_serve(sockets: ListeningSockets) -> None:
    one, other = free(), free()
    opened = sockets.open([one, other])
    assert sockets.inherit({other}) == {other: opened[other]}
    assert not accepts(one)


def test_ipv6_leaves_ipv4_to_its_own_listener(sockets: ListeningSockets) -> None:
    port = free().port
    both = sockets.open([Endpoint("0.0.0.0", port), Endpoint("::", port)])  # refused, if one of them took both
    assert len(both) == 2


class Passed:
    """Sockets as systemd passes them, from the file descriptor `first` on."""

    def __init__(self, *listening: socket.socket) -> None:
        self.first = 200
        for fd, each in enumerate(listening, self.first):
            os.dup2(each.fileno(), fd)
        self.environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(listening)), "LISTEN_FDNAMES": "smtp"}


def test_systemds_sockets_are_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = address_of(listening)
        passed = Passed(listening)
    adopted = passed_sockets(passed.environ, passed.first)
    sockets = ListeningSockets(adopted)
    assert passed.environ == {}  # who is started by us must not take them for his
    opened = sockets.open([endpoint])
    assert opened[endpoint].fileno() == passed.first
    assert not opened[endpoint].get_inheritable()
    sockets.close_all_but(set())  # systemd keeps it open: the clients would wait for nobody
    assert accepts(endpoint)
    sockets.close()
    assert not accepts(endpoint)


@pytest.mark.parametrize("pid", ["1", "", "x"])
def test_sockets_for_another_process_are_not_ours(pid: str) -> None:
    assert passed_sockets({"LISTEN_PID": pid, "LISTEN_FDS": "1"}, 200) == {}


def test_what_is_no_tcp_socket_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        passed = Passed(other)
    passed.environ["LISTEN_FDS"] = "2"  # the second one is not even open
    assert passed_sockets(passed.environ, passed.first) == {}
    assert [record.message for record in caplog.records] == [
        "systemd passed file descriptor 200, which is no TCP socket",
        "file descriptor 201 that systemd passed is no socket: Bad file descriptor",
    ]
