"""The control socket: what `smtpgate status` and `smtpgate reload` ask a running server.

One line of JSON each way: {"command": "status"}, and the answer. Only the server's own user, and root, may connect.
"""

import contextlib
import errno
import json
import logging
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smtpgate.system_error import in_words

log = logging.getLogger(__name__)

_LONGEST_REQUEST = 1000
# Who asks is the administrator; more at one time are a mistake.
_MOST_AT_ONCE = 16
# How long the administrator's program may take to read what it asked for, in seconds.
_ANSWER_WITHIN = 1.0

Answer = Callable[[dict[str, Any]], None]


class ControlError(Exception):
    """There is no control socket, or nobody answers on it; the text says why."""


class ControlServer:
    """Listens on a Unix socket, within somebody else's selector; the data of its keys are functions to call.

    on_request: gets the command and the function that answers it, now or later.
    """

    def __init__(self, path: str, selector: selectors.BaseSelector, on_request: Callable[[str, Answer], None]) -> None:
        self._path = Path(path).absolute()
        self._selector = selector
        self._on_request = on_request
        self._asking: dict[socket.socket, bytes] = {}
        self._listening: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self._listening is not None

    def open(self) -> None:
        """Listen. Raises ControlError."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            listening.bind(str(self._path))
            # Before listen(): until then nobody can connect.
            self._path.chmod(0o600)
            listening.listen()
        except OSError as error:
            listening.close()
            raise ControlError(f"{self._path}: {error.strerror or error}") from error
        listening.setblocking(False)
        self._listening = listening
        self._selector.register(listening, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Listen no more; the socket's file is gone."""
        if self._listening is not None:
            self._path.unlink(missing_ok=True)
        self.close_inherited()

    def close_inherited(self) -> None:
        """In a worker: let go of what the supervisor goes on with."""
        for connection in (self._listening, *self._asking):
            if connection is not None:
                connection.close()
        self._listening = None
        self._asking.clear()

    def _remove_stale(self) -> None:
        """Remove the file of a server that ended without a word. Raises OSError if it is alive."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except FileNotFoundError:
                return
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)
                return
        raise OSError(errno.EADDRINUSE, "another server answers there")

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            connection, _ = self._listening.accept()
        except OSError as error:  # gone already, or no file descriptor is left
            log.warning("control socket: %s", in_words(error))
            return
        if len(self._asking) >= _MOST_AT_ONCE:
            connection.close()
            return
        connection.setblocking(False)
        self._asking[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_LONGEST_REQUEST)
        except OSError:
            data = b""
        request = self._asking[connection] = self._asking[connection] + data
        if not data or len(request) > _LONGEST_REQUEST:
            self._forget(connection)
        elif request.endswith(b"\n"):
            self._selector.unregister(connection)
            self._on_request(_command(request), lambda answer: self._answer(connection, answer))

    def _answer(self, connection: socket.socket, answer: dict[str, Any]) -> None:
        if connection not in self._asking:
            return
        with contextlib.suppress(OSError):  # who asked did not wait
            connection.settimeout(_ANSWER_WITHIN)
            connection.sendall(json.dumps(answer).encode() + b"\n")
        del self._asking[connection]
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._asking[connection]
        connection.close()


def _command(request: bytes) -> str:
    try:
        asked = json.loads(request)
    except ValueError:
        return ""
    return str(asked.get("command", "")) if isinstance(asked, dict) else ""


def ask(path: str, command: str, timeout: float) -> dict[str, Any]:
    """A running server's answer, within so many seconds. Raises ControlError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(os.fspath(path))
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile("rb") as reader:
                answer = json.loads(reader.readline())
    except FileNotFoundError:
        raise ControlError(f"no server runs here: there is no {os.path.abspath(path)}") from None
    except ConnectionRefusedError:
        raise ControlError(f"no server runs here: nobody listens on {os.path.abspath(path)}") from None
    except PermissionError:
        raise ControlError(f"{path} answers root and the user who serves: run this command as one of them") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {in_words(error)}") from error
    assert isinstance(answer, dict)
    return answer
