"""What can be wrong with the machine: a port in use, a database that is locked, broken or deleted, no files left."""

import resource
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.gate import Gate
from tests.system.peers import in_maildir
from tests.system.program import PATIENCE


def send(gate: Gate, subject: str) -> None:
    """One mail that must be accepted."""
    with gate.client() as client:
        assert client.sendmail("me@example.com", ["you@example.org"], f"Subject: {subject}\r\n\r\n".encode()) == {}


def test_a_port_in_use(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "maildir:mail")
    with socket.create_server(("127.0.0.1", gate.port)):
        program = gate.run_serve()
        assert program.wait() == 1
    assert program.err == [
        f"smtpgate: cannot listen on 127.0.0.1:{gate.port}: Address already in use: `ss -ltnp` tells who listens there"
    ]


def test_a_wrong_configuration(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "maildir:mail", server='mynetwork = ["10.0.0.0/8"]')
    program = gate.run_serve()
    assert program.wait() == 1
    assert len(program.err) == 1
    assert "mynetworks" in program.err[0]  # did you mean


def test_the_database_is_locked_by_another_process(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    locker = sqlite3.connect(gate.directory / "var" / "smtpgate.db", isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    send(gate, "while locked")
    gate.program.wait_for('"outcome": "accepted"')
    locker.execute("ROLLBACK")
    locker.close()
    assert len(in_maildir(gate.directory / "mail")) == 1
    gate.stop()
    assert "accepted" in gate.command("why", "you@example.org").stdout  # kept back in memory, then written


def test_the_database_is_deleted_while_serving(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    send(gate, "first")
    for file in (gate.directory / "var").glob("smtpgate.db*"):
        file.unlink()
    send(gate, "second")
    assert len(in_maildir(gate.directory / "mail")) == 2
    gate.stop()
    assert "accepted" in gate.command("why", "you@example.org").stdout


@pytest.mark.parametrize("var", ["a file", "garbage"])
def test_the_database_cannot_be_opened(var: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "maildir:mail")
    if var == "a file":
        (tmp_path / "var").write_text("not a directory")
    else:
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "smtpgate.db").write_text("not a database" * 1000)
    gate.start()
    assert "starting without the store" in gate.program.wait_for("WARNING")
    send(gate, "all the same")
    assert len(in_maildir(tmp_path / "mail")) == 1
    gate.stop()


def test_no_files_are_left(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    [worker] = gate.workers()
    limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
    gate.program.wait_for("ERROR: no more files can be opened: new clients are turned away")
    assert "  no files  " in gate.command("status").stdout
    resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
    gate.program.wait_for("WARNING: files can be opened again")
    send(gate, "again")


def test_more_clients_than_files(serve: Callable[..., Gate]) -> None:
    """Each of them is answered, and there are files for all that the server does beside."""
    gate = serve("maildir:mail", server="[limits]\nclient_connections = 0\nclient_connection_rate = 0")
    resource.prlimit(gate.status()["pid"], resource.RLIMIT_NOFILE, (400, 400))
    assert gate.command("reload").returncode == 0  # the new worker may open so many
    gate.program.wait_for("WARNING: a process may open 400 files: ")
    clients = [socket.create_connection(("127.0.0.1", gate.port), PATIENCE) for _ in range(400)]
    answers = {client.recv(4) for client in clients}
    for client in clients:
        client.close()
    assert answers == {b"220 ", b"421 "}
    send(gate, "after all of them")
    gate.stop()
    assert "no more files" not in gate.program.printed
