"""Real servers for real mail: each is started for a test or its module, on a free port, and stopped after it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.gate import Gate
from tests.system.peers import Dovecot, PlayedDownstream, Postfix, SmtpSink

Serve = Callable[..., Gate]


@contextmanager
def _gates(directory: Path) -> Iterator[Serve]:
    gates: list[Gate] = []

    def serve(relay: str = "", **options: Any) -> Gate:
        gate = Gate(directory / f"gate{len(gates)}", relay, **options)
        gates.append(gate)
        return gate.start()

    yield serve
    for gate in gates:
        gate.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a gate: serve(relay, …), as Gate takes them. Whatever happened to it, it must end in peace."""
    with _gates(tmp_path) as serve:
        yield serve


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """The same, for all tests of a module."""
    with _gates(tmp_path_factory.mktemp("gates")) as serve:
        yield serve


@pytest.fixture(scope="module")
def open_dir() -> Iterator[Path]:
    """A directory that other users may enter, with a name short enough for a Unix socket: tmp_path is neither."""
    with tempfile.TemporaryDirectory(prefix="smtpgate-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def _inside(directory: Path, name: str) -> Path:
    """A directory of its own for one of the servers of a module."""
    inside = directory / name
    inside.mkdir()
    inside.chmod(0o755)
    return inside


@pytest.fixture(scope="module")
def postfix(open_dir: Path) -> Iterator[Postfix]:
    """A running Postfix."""
    server = Postfix(_inside(open_dir, "postfix")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def dovecot(open_dir: Path) -> Iterator[Dovecot]:
    """A running Dovecot."""
    server = Dovecot(_inside(open_dir, "dovecot")).start()
    yield server
    server.stop()


@pytest.fixture
def smtp_sink(tmp_path: Path) -> Iterator[SmtpSink]:
    """An smtp-sink that is not started yet."""
    server = SmtpSink(tmp_path)
    yield server
    server.program.kill()


@pytest.fixture
def played() -> Iterator[PlayedDownstream]:
    """A downstream whose part the test plays."""
    server = PlayedDownstream()
    yield server
    server.close()
