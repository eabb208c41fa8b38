"""The supervisor and its workers: they come, crash and go, and nobody who sends mail hears of it."""

import os
import pwd
import re
import signal
import smtplib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.system.gate import Gate
from tests.system.peers import in_maildir
from tests.system.program import PATIENCE, require_root

MAIL = b"Subject: hello\r\n\r\nIt works.\r\n"


def send(gate: Gate) -> None:
    """One mail that must be accepted."""
    with gate.client() as client:
        assert client.sendmail("me@example.com", ["you@example.org"], MAIL) == {}


class Senders:
    """Clients that send one message after another, each on a connection of its own, and expect all to go well."""

    def __init__(self, gate: Gate, count: int) -> None:
        self.trouble: list[Exception] = []
        self.sent = 0
        self._gate = gate
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more messages are sent."""
        with self._news:
            goal = self.sent + count
            assert self._news.wait_for(lambda: self.sent >= goal or self.trouble, PATIENCE)

    def _run(self) -> None:
        while not self._stop.is_set() and not self.trouble:
            try:
                send(self._gate)
            except Exception as trouble:
                self.trouble.append(trouble)
            with self._news:
                self.sent += 1
                self._news.notify_all()


def test_reloads_under_load(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    seen = set(gate.workers())
    # Opened before the first reload, and used after the last one.
    patient = gate.client()
    patient.ehlo()
    patient.mail("me@example.com")
    idle = gate.client()
    with Senders(gate, 4) as senders:
        for _ in range(3):
            senders.wait_for_more(10)
            done = gate.command("reload")
            assert (done.returncode, done.stdout) == (0, "smtpgate: the new configuration is in force\n"), done.stderr
            seen.update(gate.workers())
        senders.wait_for_more(10)
    assert senders.trouble == []
    assert patient.rcpt("you@example.org")[0] == 250
    assert patient.data(MAIL)[0] == 250
    assert idle.sendmail("me@example.com", ["you@example.org"], MAIL) == {}
    for client in (patient, idle):
        client.quit()
    gate.program.wait_for("INFO: worker .* ended with status 0", times=6)  # the last two of each generation
    assert len(seen) >= 8
    assert [worker["state"] for worker in gate.status()["workers"]] == ["serving", "serving"]
    assert len(in_maildir(gate.directory / "mail")) == senders.sent + 2
    gate.stop()
    assert gate.command("why", "you@example.org").returncode == 0


def test_the_new_configuration_is_in_force(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    gate.change('relay_domains = ["example.org"]', 'relay_domains = ["example.net"]')
    gate.program.signal(signal.SIGHUP)
    gate.program.wait_for("INFO: the configuration is reloaded")
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("me@example.com", ["you@example.org"], MAIL)


@pytest.mark.parametrize("way", ["command", "signal"])
def test_a_wrong_configuration_changes_nothing(way: str, serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    before = gate.workers()
    gate.change("relay_domains", "relay_domain")
    if way == "command":
        done = gate.command("reload")
        assert done.returncode == 1
        assert 'config.toml:4: [server] relay_domain: unknown option: did you mean "relay_domains"?' in done.stderr
    else:
        gate.program.signal(signal.SIGHUP)
        gate.program.wait_for("ERROR: the configuration is not reloaded:")
        gate.program.wait_for('^config.toml:4: .* did you mean "relay_domains"')
    send(gate)
    assert gate.workers() == before


def test_listeners_come_and_go(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    old, new = gate.port, free_port()
    first = f'[[listener]]\naddress = "127.0.0.1:{old}"\n'
    second = f'[[listener]]\naddress = "127.0.0.1:{new}"\n'
    gate.change(first, first + second)
    assert gate.command("reload").returncode == 0
    for gate.port in (old, new):
        send(gate)
    gate.change(first, "")
    assert gate.command("reload").returncode == 0
    send(gate)
    gate.port = old
    gate.program.wait_for("INFO: worker .* ended with status 0", times=4)
    with pytest.raises(ConnectionRefusedError):
        gate.talk()


def test_a_listener_that_cannot_be_added_changes_nothing(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    before = gate.workers()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        gate.change("[[listener]]", f'[[listener]]\naddress = "{address}"\n[[listener]]')
        done = gate.command("reload")
    assert done.returncode == 1
    assert f"the old configuration stays in force:\ncannot listen on {address}: Address already in use" in done.stderr
    send(gate)
    assert gate.workers() == before


@pytest.mark.parametrize("way", ["command", "signal"])
def test_what_takes_a_restart_is_said(way: str, serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail")
    before = gate.workers()
    me = pwd.getpwuid(os.geteuid()).pw_name
    gate.change("[server]", f'[server]\nuser = "{me}"')
    said = f'[server] user: "" became "{me}", which takes a restart'
    if way == "command":
        done = gate.command("reload")
        assert done.returncode == 1
        assert f"the old configuration stays in force:\n{said}\n" in done.stderr
    else:
        gate.program.signal(signal.SIGHUP)
        gate.program.wait_for(re.escape(said))
    send(gate)
    assert gate.workers() == before


def test_a_crashed_worker_is_replaced(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    one, other = gate.workers()
    os.kill(one, signal.SIGKILL)
    gate.program.wait_for(f"ERROR: worker {one} ended by SIGKILL")
    for _ in range(5):
        send(gate)
    status = gate.status()
    assert status["crashes"] == 1
    pids = [worker["pid"] for worker in status["workers"]]
    assert other in pids
    assert one not in pids
    assert gate.command("status").stdout.count("1 ended unexpectedly") == 1


def test_all_workers_crash(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    for pid in gate.workers():
        os.kill(pid, signal.SIGKILL)
    send(gate)  # waits in the queue of the socket until somebody is there again


def test_the_supervisor_is_killed(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    gate.program.kill()  # returns when the last worker has closed its output
    with pytest.raises(ConnectionRefusedError):
        gate.talk()
    gate.start()  # finds the port and the control socket's file
    send(gate)
    assert len(gate.workers()) == 2


def test_a_second_interrupt_ends_it_at_once(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    idle, busy = gate.talk(), gate.talk()
    for client in (idle, busy):
        client.reply()
    busy.ask("EHLO client.example.net")
    busy.ask("MAIL FROM:<me@example.com>")
    gate.program.signal(signal.SIGINT)
    assert idle.reply().startswith("421 4.3.2 ")
    gate.program.signal(signal.SIGINT)
    assert gate.program.wait() == 130
    for client in (idle, busy):
        client.close()


def test_status_tells_what_happened(serve: Callable[..., Gate]) -> None:
    gate = serve("maildir:mail", workers=2)
    for _ in range(3):
        send(gate)
    with gate.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("me@example.com", ["you@elsewhere.example"], MAIL)
    gate.program.signal(signal.SIGHUP)  # the last report of the old workers holds all that they did
    gate.program.wait_for("INFO: worker .* ended with status 0", times=2)
    status = gate.status()
    assert status["totals"] == {"accepted": 3, "rejected": 1}
    assert status["listeners"] == [f"127.0.0.1:{gate.port}"]
    shown = gate.command("status")
    assert shown.returncode == 0
    assert "3 accepted, 1 rejected" in shown.stdout


def test_nobody_to_ask(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "maildir:mail")
    for command in ("status", "reload"):
        done = gate.command(command)
        assert (done.returncode, done.stderr) == (
            1,
            f"smtpgate: no server runs here: there is no {tmp_path}/var/smtpgate.sock\n",
        )


def test_one_process_for_debuggers(tmp_path: Path) -> None:
    gate = Gate(tmp_path, "maildir:mail").start("--no-fork")
    send(gate)
    assert gate.command("status").returncode == 1
    gate.stop()


def test_root_serves_as_nobody(open_dir: Path) -> None:
    require_root("user =")
    gate = Gate(open_dir / "gate", "maildir:mail", server='user = "nobody"', workers=2)
    nobody = pwd.getpwnam("nobody")
    os.chown(gate.directory, nobody.pw_uid, nobody.pw_gid)
    assert gate.command("table", "friends", "set", "example.net", "OK").returncode == 0
    gate.start()
    send(gate)
    assert gate.command("table", "friends", "set", "example.com", "OK").returncode == 0
    assert gate.command("reload").returncode == 0
    send(gate)
    for pid in (gate.status()["pid"], *gate.workers()):
        assert f"\nUid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()
    for path in gate.directory.rglob("var/*"):
        assert path.stat().st_uid == nobody.pw_uid, path
    gate.change("[[listener]]", '[[listener]]\naddress = "127.0.0.7:7"\n[[listener]]')
    done = gate.command("reload")
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.7:7: Permission denied: for a port below 1024 start it as root" in done.stderr
    send(gate)
    gate.stop()
