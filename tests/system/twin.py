"""smtpgate and a real Postfix with the same rules in the same world, asked the same things by the same clients.

`python -m tests.system.twin [--seed N] [--lists N] [--sessions N]` plays sessions with both and prints what was
answered, one JSON object for each session. It needs root: all of them live in a network namespace.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from bench.namespace import enter
from smtpgate.checks.registry import REGISTRY
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.stub import StubResolver
from smtpgate.values import Endpoint
from tests.dns.name_server import name_server
from tests.harness import serving
from tests.system.peers import POSTFIX_SERVICES
from tests.system.program import PATIENCE, require
from tests.system.twin_sessions import CONTENT, RuleLists, Session, every_session
from tests.system.twin_zone import ADDRESSES, CLIENTS, MYNETWORKS, SERVER, SERVER_6, answers

_DNS = "127.0.0.1"
_SMTPD = Path("/usr/lib/postfix/sbin/smtpd")
_FIRST_PORT = 2000
_AT_ONE_TIME = 8

# All that is not a default: where it lives, what is ours, not to wait, neither for mail that comes too fast (it is
# thrown away) nor after a client's mistakes, not to be stricter when all of its few processes are busy ("stress"), and
# the settings that docs/postfix.md names.
_MAIN_CF = f"""
compatibility_level = 3.6
queue_directory = {{dir}}/queue
data_directory = {{dir}}/data
maillog_file = {{dir}}/log
maillog_file_prefixes = {{dir}}
inet_interfaces = {SERVER}, {SERVER_6}
inet_protocols = all
myhostname = mx.example.org
mynetworks = {MYNETWORKS}
mydestination = mx.example.org
local_recipient_maps =
alias_maps =
relay_domains = example.org
smtpd_relay_restrictions =
default_transport = discard
relay_transport = discard
local_transport = discard
in_flow_delay = 0
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_hard_error_limit = 20
smtpd_timeout = 300
message_size_limit = 26214400
smtpd_helo_required = yes
strict_rfc821_envelopes = yes
strict_smtputf8 = yes
parent_domain_matches_subdomains = smtpd_access_maps
"""
_MASTER_CF = f"\ndiscard  unix - - n -   - discard{POSTFIX_SERVICES}"


def rules_of_postfix() -> frozenset[str]:
    """The names of our rules that its smtpd knows: those that stand in the program, or end what stands there."""
    program = _SMTPD.read_bytes()
    return frozenset(name for name in REGISTRY if name.encode() + b"\0" in program)


@contextlib.contextmanager
def postfix(directory: Path, rule_lists: Iterable[RuleLists]) -> Iterator[None]:
    """A Postfix with a listener for each of the lists, on the ports from _FIRST_PORT on."""
    config = directory / "conf"
    for place in (config, directory / "queue", directory / "data"):
        place.mkdir()
    owner = pwd.getpwnam("postfix")
    os.chown(directory / "data", owner.pw_uid, owner.pw_gid)
    (config / "main.cf").write_text(_MAIN_CF.format(dir=directory))
    listeners = []
    for rules in rule_lists:
        host = f"[{SERVER_6}]" if rules.family == 6 else SERVER
        listeners.append(f"{host}:{_FIRST_PORT + rules.number} inet n - n - 2 smtpd")
        listeners += [f"  -o {{ {override} }}" for override in rules.overrides]
    (config / "master.cf").write_text("\n".join(listeners) + _MASTER_CF)
    program = require("postfix", "postfix")
    # To a file, not a pipe: its daemons would keep it open.
    with (directory / "start.log").open("wb") as output:

        def run(command: str) -> None:
            subprocess.run([program, "-c", config, command], check=True, stdout=output, stderr=output, timeout=PATIENCE)

        run("start")
        try:
            yield
        finally:
            run("stop")


@contextlib.asynccontextmanager
async def gates(rule_lists: Iterable[RuleLists]) -> AsyncIterator[list[int]]:
    """smtpgate's dialog with each of the lists, and the real resolver; their ports."""
    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for rules in rule_lists:
            stub = StubResolver([Endpoint(_DNS, 53)], PATIENCE)
            stack.callback(stub.close)
            address = SERVER_6 if rules.family == 6 else SERVER
            gate = await stack.enter_async_context(serving(rules.toml, dns=CachingResolver(stub), address=address))
            ports.append(gate.port)
        yield ports


async def play(session: Session, port: int) -> list[str]:
    """The replies of one server: to the connection, then to each command and content. "" where it had hung up."""
    host, local = (SERVER_6 if session.rules.family == 6 else SERVER), CLIENTS[session.client]
    reader, writer = await asyncio.open_connection(host, port, local_addr=(local, 0))
    replies = [await _reply(reader)]
    try:
        for step in session.steps:
            writer.write("".join(f"{line}\r\n" for line in step.lines).encode())
            replies += [await _reply(reader) for _ in step.lines]
            if step.ends_in_data and replies[-1].startswith("354"):
                writer.write(CONTENT.encode())
                replies.append(await _reply(reader))
            elif step.ends_in_data:
                replies.append("-")  # so that both have as many
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return replies


async def _reply(reader: asyncio.StreamReader) -> str:
    """The last line of a reply, "" if there is none."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            while line := (await reader.readline()).decode("utf-8", "replace"):
                if line[3:4] != "-":
                    return line.rstrip()
    return ""


async def _play_all(sessions: list[Session], rule_lists: list[RuleLists]) -> None:
    at_one_time = asyncio.Semaphore(_AT_ONE_TIME)

    async def both(session: Session, port: int) -> None:
        async with at_one_time:
            try:
                ours = await play(session, port)
                theirs = await play(session, _FIRST_PORT + session.rules.number)
            except TimeoutError:
                raise TimeoutError(f"no answer to {session}") from None
        print(json.dumps({"session": session.name, "ours": ours, "theirs": theirs}))

    async with name_server(answers, _DNS, 53), gates(rule_lists) as ports:
        await asyncio.gather(*(both(session, ports[session.rules.number]) for session in sessions))


def main() -> None:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lists", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=12)
    args = parser.parse_args()
    sessions = list(every_session(args.seed, args.lists, args.sessions, rules_of_postfix()))
    rule_lists = list({session.rules.number: session.rules for session in sessions}.values())
    with tempfile.TemporaryDirectory(prefix="smtpgate-twin-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        enter(directory, _DNS, ADDRESSES)
        with postfix(directory, rule_lists):
            asyncio.run(_play_all(sessions, rule_lists))


if __name__ == "__main__":
    sys.exit(main())
