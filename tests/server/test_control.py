"""The control socket: who may ask, what is answered, and that nobody who asks can hold the server up."""

import contextlib
import selectors
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpgate.server.control import Answer, ControlError, ControlServer, ask


class Served:
    """A control socket; requests are kept until turns() is told to answer."""

    def __init__(self, path: Path) -> None:
        self.selector = selectors.PollSelector()
        self.requests: list[tuple[str, Answer]] = []
        self.server = ControlServer(
            str(path), self.selector, lambda command, answer: self.requests.append((command, answer))
        )
        self.server.open()

    def turn(self) -> None:
        """What the supervisor does when something came."""
        for key, _ in self.selector.select(10):
            key.data()

    def until_asked(self, count: int = 1) -> None:
        while len(self.requests) < count:
            self.turn()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def served(path: Path) -> Iterator[Served]:
    served = Served(path)
    yield served
    served.server.close()
    assert not path.exists()


@contextlib.contextmanager
def asking(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        yield connection


def test_a_question_and_its_answer(served: Served, path: Path) -> None:
    answers: list[dict[str, Any]] = []
    asker = threading.Thread(target=lambda: answers.append(ask(str(path), "status", 10)))
    asker.start()
    served.until_asked()
    [(command, answer)] = served.requests
    answer({"workers": 2, "long": "x" * 50_000})
    asker.join()
    assert command == "status"
    assert answers == [{"workers": 2, "long": "x" * 50_000}]


def test_only_its_user_may_ask(served: Served, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_question_in_pieces(served: Served, path: Path) -> None:
    with asking(path) as connection:
        served.turn()  # accepted
        for piece in (b'{"comm', b'and": "reload"}', b"\n"):
            connection.sendall(piece)
            served.turn()
            if not piece.endswith(b"\n"):
                assert not served.requests
        assert served.requests[0][0] == "reload"


@pytest.mark.parametrize("request_", [b"status\n", b"[1]\n", b"{}\n", b"\xff\n"])
def test_what_is_no_question_is_no_command(request_: bytes, served: Served, path: Path) -> None:
    with asking(path) as connection:
        connection.sendall(request_)
        served.until_asked()
    assert served.requests[0][0] in ("", "None")


def test_who_talks_too_much_is_sent_away(served: Served, path: Path) -> None:
    with asking(path) as connection:
        connection.sendall(b"x" * 5000)
        for _ in range(3):
            served.turn()
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    assert not served.requests


def test_who_leaves_before_the_answer_does_no_harm(served: Served, path: Path) -> None:
    with asking(path) as connection:
        connection.sendall(b'{"command": "reload"}\n')
        served.until_asked()
    served.requests[0][1]({"reloaded": True})


def test_too_many_at_once(served: Served, path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(asking(path))
            served.turn()
        one_more = stack.enter_context(asking(path))
        served.turn()
        assert one_more.recv(1) == b""


def test_the_file_of_a_server_that_was_killed_is_replaced(path: Path) -> None:
    dead = Served(path)
    dead.server.close_inherited()  # the file stays
    assert path.exists()
    Served(path).server.close()


def test_the_file_of_a_living_server_is_not(served: Served, path: Path) -> None:
    with pytest.raises(ControlError, match="another server answers there"):
        Served(path)


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match="file"):
        Served(tmp_path / "file" / "control.sock")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server runs here: there is no "):
        ask(str(tmp_path / "control.sock"), "status", 10)


def test_a_server_that_answers_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("smtpgate.server.control.socket.socket", Denied)
    with pytest.raises(ControlError, match="answers root and the user who serves: run this command as one of them"):
        ask(str(path), "status", 10)


def test_a_server_that_ends_before_it_answers(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def end() -> None:
            server.accept()[0].close()

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(ControlError):
            ask(str(path), "status", 10)
        ending.join()
