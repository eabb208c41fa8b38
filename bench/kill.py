"""Workers are killed and the downstream dies while clients send: is every message there that got a 250?

Every attempt of every message has a name of its own, so that each copy that the downstream got is traced to the attempt
that brought it. A second copy is explained if the client could not know that the first one had arrived.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.kill_peers import Client, Death, Downstream, Fate
from bench.ports import free_port
from bench.processes import PATIENCE, server, workplace
from smtpgate.server.control import ControlError, ask

_CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
mynetworks = ["127.0.0.0/8"]
workers = {workers}
control = "{directory}/control"
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "smtp://127.0.0.1:{downstream}"
[store]
url = "sqlite:///{directory}/smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""
# What a client may know of an attempt that arrived all the same.
_UNCERTAIN = (Fate.CUT_AT_END, Fate.DEFERRED_AT_END)
# The downstream comes back after so many attempts have failed.
_FAILURES_WHILE_DOWN = 10


@dataclass(frozen=True)
class Plan:
    """What is done. kills, deaths: of workers and of the downstream, spread over the messages by chance (seed)."""

    messages: int
    kills: int
    deaths: int
    seed: int
    clients: int = 20
    workers: int = 2
    pause: float = 0.2


@dataclass
class Result:
    """What came of it. lost: numbers with a 250 that did not arrive. unexplained: copies that must not be there.

    duplicates: by what the client had heard. fates: how all attempts ended.
    """

    accepted: int = 0
    killed: int = 0
    died: Counter[str] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    duplicates: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost, altered, refused for good, or delivered twice for no reason."""
        return not (self.lost or self.altered or self.unexplained or self.fates[Fate.REFUSED.value])


class KillTest:
    """One run against a server that listens on a port and is asked for its workers through its control socket."""

    def __init__(self, plan: Plan, port: int, control: Path, downstream: Downstream) -> None:
        self._plan = plan
        self._port = port
        self._control = control
        self._downstream = downstream
        self._chance = random.Random(plan.seed)
        self._fates: dict[tuple[int, int], Fate] = {}
        self._numbers: Iterator[int] = iter(range(1, plan.messages + 1))
        self._result = Result()
        self._failures = 0
        self._killed: set[int] = set()
        self._one_at_a_time = asyncio.Lock()
        self._kill_at = self._moments(plan.kills)
        self._die_at = self._moments(plan.deaths)

    async def run(self) -> Result:
        """Send everything."""
        await self._downstream.start()
        clients = [
            Client(
                self._port,
                random.Random(self._chance.random()),
                lambda: next(self._numbers, None),
                self._fates,
                self._on_fate,
                self._plan.pause,
            )
            for _ in range(self._plan.clients)
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                for client in clients:
                    tasks.create_task(client.run())
        finally:
            await self._downstream.close()
        return self._judge()

    def _moments(self, count: int) -> list[int]:
        """After how many accepted messages something happens, the last one first; never at the very end."""
        return sorted(self._chance.sample(range(1, max(2, self._plan.messages * 9 // 10)), count), reverse=True)

    async def _on_fate(self, fate: Fate) -> None:
        self._result.accepted += fate is Fate.ACCEPTED
        self._failures += fate is not Fate.ACCEPTED
        # No client goes on before what is due has happened: however slow the server is, all of it happens.
        async with self._one_at_a_time:
            await self._make_trouble()

    async def _make_trouble(self) -> None:
        if not self._downstream.is_up:
            if self._failures >= _FAILURES_WHILE_DOWN:
                await self._downstream.start()
        elif self._due(self._die_at):
            how = self._chance.choice(list(Death))
            self._result.died[how.value] += 1
            self._failures = 0
            self._downstream.die(how)
        if self._due(self._kill_at):
            await self._kill()

    def _due(self, moments: list[int]) -> bool:
        if not moments or self._result.accepted < moments[-1]:
            return False
        moments.pop()
        return True

    async def _kill(self) -> None:
        """Kill one worker that serves, chosen by chance; wait for one if need be."""
        async with asyncio.timeout(PATIENCE):
            while not (serving := await self._serving()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        killed = self._chance.choice(serving)
        os.kill(killed, signal.SIGKILL)
        self._killed.add(killed)
        self._result.killed += 1

    async def _serving(self) -> list[int]:
        """The workers that serve and were not killed: the supervisor may not know yet."""
        try:
            status = await asyncio.to_thread(ask, str(self._control), "status", PATIENCE)
        except ControlError as error:
            raise AssertionError(f"the supervisor does not answer: {error}") from error
        serving = {worker["pid"] for worker in status["workers"] if worker["state"] == "serving"}
        return sorted(serving - self._killed)

    def _judge(self) -> Result:
        result, copies = self._result, self._downstream.copies
        result.altered = self._downstream.altered
        result.fates = Counter(fate.value for fate in self._fates.values())
        result.lost = [
            number
            for (number, attempt), fate in self._fates.items()
            if fate is Fate.ACCEPTED and not copies[number, attempt]
        ]
        for (number, attempt), count in copies.items():
            fate = self._fates[number, attempt]
            if count > 1:
                result.unexplained.append(f"{number}, attempt {attempt}: handed over {count} times")
            elif fate in _UNCERTAIN:
                result.duplicates[fate.value] += 1
            elif fate is not Fate.ACCEPTED:
                result.unexplained.append(f"{number}, attempt {attempt}: arrived, the client had: {fate.value}")
        return result


def kill_test(plan: Plan, directory: Path) -> Result:
    """Start a server and run the plan against it."""
    port, downstream = free_port(), free_port()
    config = directory / "config.toml"
    config.write_text(_CONFIG.format(workers=plan.workers, directory=directory, port=port, downstream=downstream))
    command = [sys.executable, "-m", "smtpgate", "serve", "--config", str(config)]
    with server(command, port, directory / "smtpgate.log"):
        return asyncio.run(KillTest(plan, port, directory / "control", Downstream(downstream)).run())


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--messages", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=100, help="of workers (%(default)s)")
    parser.add_argument("--deaths", type=int, default=40, help="of the downstream (%(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Run and print."""
    plan = Plan(args.messages, args.kills, args.deaths, args.seed, args.clients, args.workers)
    with workplace() as directory:
        result = kill_test(plan, directory)
    print("\n".join(_lines(plan, result)))
    return 0 if result.is_right else 1


def _lines(plan: Plan, result: Result) -> Iterator[str]:
    yield f"{plan.messages} messages from {plan.clients} clients, seed {plan.seed}"
    yield f"  workers killed        {result.killed}"
    for how, count in sorted(result.died.items()):
        yield f"  downstream died       {count}  {how}"
    for fate, count in sorted(result.fates.items()):
        yield f"  attempts              {count}  {fate}"
    yield f"  got a 250             {result.accepted}"
    yield f"  lost                  {len(result.lost)}"
    yield f"  altered               {len(result.altered)}"
    yield f"  second copies         {result.duplicates.total()}"
    for fate, count in sorted(result.duplicates.items()):
        yield f"    the first one's client heard: {fate}: {count}"
    yield f"  unexplained copies    {len(result.unexplained)}"
    yield from (f"    {copy}" for copy in result.unexplained[:20])
