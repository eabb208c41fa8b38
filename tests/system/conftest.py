"""Real servers for real mail: each is started for one test, on a free port, and stopped after it."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.gate import Gate
from tests.system.peers import Dovecot, PlayedDownstream, Postfix, SmtpSink


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users may enter, with a name short enough for a Unix socket: tmp_path is neither."""
    with tempfile.TemporaryDirectory(prefix="smtpgate-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    """Start a gate: serve(relay, …), as Gate takes them. Whatever happened to it, it must end in peace."""
    gates: list[Gate] = []

    def started(relay: str = "", **options: str) -> Gate:
        gate = Gate(tmp_path / f"gate{len(gates)}", relay, **options)
        gates.append(gate)
        return gate.start()

    yield started
    for gate in gates:
        if not gate.program.has_ended:
            gate.stop()


@pytest.fixture
def postfix(open_dir: Path) -> Iterator[Postfix]:
    """A running Postfix."""
    server = Postfix(open_dir).start()
    yield server
    server.stop()


@pytest.fixture
def dovecot(open_dir: Path) -> Iterator[Dovecot]:
    """A running Dovecot."""
    server = Dovecot(open_dir).start()
    yield server
    server.stop()


@pytest.fixture
def smtp_sink(tmp_path: Path) -> Iterator[SmtpSink]:
    """An smtp-sink that is not started yet."""
    server = SmtpSink(tmp_path)
    yield server
    if not server.program.has_ended:
        server.program.kill()


@pytest.fixture
def played() -> Iterator[PlayedDownstream]:
    """A downstream whose part the test plays."""
    server = PlayedDownstream()
    yield server
    server.close()
