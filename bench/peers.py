"""What stands on the way of a message: a gate, smtpgate or Postfix, and smtp-sink behind it.

Both gates do the same: they ask the rules that they are given, pass the message on before the queue, write a log into
a file. smtpgate keeps its records, as always. Postfix keeps its defaults, except for limits that would refuse the load,
and for looking up the client's name, which it does only where a rule asks for it, as smtpgate does.
"""

import contextlib
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.ports import free_port
from bench.processes import ELSEWHERE, PATIENCE, Unusable, require, server, wait_until_listening

RECIPIENT = "you@example.test"
# A list of rules in main.cf's words, which mean the same to both. The client is not in mynetworks.
GUARD_ALONE = "permit_mynetworks, reject_unauth_destination"

_CONFIG_TOML = """
[server]
hostname = "mx.example.test"
mynetworks = ["10.0.0.0/8"]
relay_domains = ["example.test"]
control = "{directory}/smtpgate.sock"
spool = "{directory}/spool"
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "smtp://127.0.0.1:{sink}"
[store]
url = "sqlite:///{directory}/smtpgate.db"
[limits]
client_connections = 0
sessions = 9900
[phases]
rcpt = {rules}
[dns]
nameservers = {nameservers}
"""

_MAIN_CF = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
myhostname = mx.example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 10.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
relay_domains = example.test
relay_recipient_maps =
smtpd_relay_restrictions =
smtpd_recipient_restrictions = {rules}
smtpd_peername_lookup = {peername_lookup}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""

# Of every Postfix that a measurement or a test starts. Nothing is chrooted: the queue directory holds no copies of the
# system's files.
POSTFIX_SERVICES = """
pickup   unix n - n 60  1 pickup
cleanup  unix n - n -   0 cleanup
qmgr     unix n - n 300 1 qmgr
rewrite  unix - - n -   - trivial-rewrite
bounce   unix - - n -   0 bounce
defer    unix - - n -   0 bounce
trace    unix - - n -   0 bounce
proxymap unix - - n -   - proxymap
error    unix - - n -   - error
retry    unix - - n -   - error
anvil    unix - - n -   1 anvil
postlog  unix-dgram n - n - 1 postlogd
"""
_MASTER_CF = f"""
127.0.0.1:{{port}} inet n - n - 100 smtpd
  -o smtpd_proxy_filter=127.0.0.1:{{sink}}
smtp     unix - - n -   - smtp
{POSTFIX_SERVICES}"""


class Gate(NamedTuple):
    """A running gate. pid: of the process that all its others descend from."""

    name: str
    port: int
    pid: int


@contextlib.contextmanager
def smtp_sink(directory: Path) -> Iterator[int]:
    """Postfix's smtp-sink, which takes every mail; its port."""
    port = free_port()
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [*ELSEWHERE, require("smtp-sink"), *as_user, f"127.0.0.1:{port}", "1000"]
    with server(command, port, directory / "sink.log"):
        yield port


@contextlib.contextmanager
def smtpgate(
    directory: Path,
    sink: int,
    launcher: tuple[str, ...] = (),
    *,
    rules: str = GUARD_ALONE,
    nameservers: Sequence[str] = (),
    one_process: bool = False,
) -> Iterator[Gate]:
    """smtpgate as it is started in production. launcher: options of Python before "-m smtpgate". rules: its rcpt list.
    nameservers: instead of the system's. one_process: without a supervisor, so that a profiler sees the work."""
    port = free_port()
    directory.mkdir()
    config = directory / "config.toml"
    lists = {"rules": json.dumps(rules.split(", ")), "nameservers": json.dumps(list(nameservers))}
    config.write_text(_CONFIG_TOML.format(directory=directory, port=port, sink=sink, **lists))
    command = [sys.executable, *launcher, "-m", "smtpgate", "serve", "--config", str(config)]
    command += ["--no-fork"] if one_process else []
    with server(command, port, directory / "smtpgate.log") as process:
        yield Gate("smtpgate", port, process.pid)


@contextlib.contextmanager
def bare_gate(directory: Path, sink: int, asks: Sequence[str] = ()) -> Iterator[Gate]:
    """A gate that does nothing but pass on (bare_gate.py), with as many processes as smtpgate.

    asks: a name server and block lists, if it shall ask them about every message (asking_gate.py).
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.asking_gate" if asks else "bench.bare_gate", str(port), str(sink), *asks]
    with server(command, port, directory / "bare.log") as process:
        yield Gate("bare", port, process.pid)


@contextlib.contextmanager
def postfix(directory: Path, sink: int, rules: str = GUARD_ALONE) -> Iterator[Gate]:
    """A Postfix of its own, which touches nothing of one that this machine may have. rules: for each recipient."""
    program = require("postfix")
    if os.geteuid() != 0:
        raise Unusable("only root can start Postfix")
    port = free_port()
    config = directory / "conf"
    for place in (config, directory / "queue", directory / "data"):
        place.mkdir(parents=True)
    owner = pwd.getpwnam("postfix")
    os.chown(directory / "data", owner.pw_uid, owner.pw_gid)
    names = "yes" if "hostname" in rules else "no"
    (config / "main.cf").write_text(_MAIN_CF.format(directory=directory, rules=rules, peername_lookup=names))
    (config / "master.cf").write_text(_MASTER_CF.format(port=port, sink=sink))
    # To files, not pipes: its daemons would keep them open.
    log = directory / "postfix.log"
    with (directory / "start.log").open("wb") as output:
        try:
            started = subprocess.run([program, "-c", config, "start"], stdout=output, stderr=output, timeout=PATIENCE)
            if started.returncode:
                said = (directory / "start.log").read_text() + (log.read_text() if log.exists() else "")
                raise Unusable(f"Postfix did not start:\n{said}")
            wait_until_listening(port, log)
            pid = int((directory / "queue/pid/master.pid").read_text())
            yield Gate("Postfix", port, pid)
        finally:
            subprocess.run([program, "-c", config, "stop"], stdout=output, stderr=output, timeout=PATIENCE)
