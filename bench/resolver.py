"""CPU time of one DNS question, 20 at once: smtpgate's resolver beside dnspython's.

Each name is asked for once, so nothing comes from memory; the server is another process.
"""

import argparse
import asyncio
import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median

import dns.asyncresolver
import dns.resolver
import uvloop

from bench.report import platform_line
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.resolver import RecordType
from smtpgate.dns.stub import StubResolver
from smtpgate.server.worker import freeze
from smtpgate.values import Endpoint

# What a mail asks: the client's names, its address on block lists, the sender's domain and its policy.
_KINDS: tuple[tuple[str, RecordType, bool], ...] = (
    ("client", "PTR", True),
    ("listed", "A", True),
    ("free", "A", False),
    ("sender", "MX", True),
    ("policy", "TXT", True),
)
_Ask = Callable[[str, RecordType], Awaitable[bool]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--questions", type=int, default=10_000, help="of each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each resolver, in turns (%(default)s)")
    parser.add_argument("--at-once", type=int, default=20, help="questions in flight (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    freeze()
    with _server() as port:
        rounds = [
            [uvloop.run(_measure(each, port, args.questions, args.at_once)) for each in (_smtpgate, _dnspython)]
            for _ in range(args.rounds)
        ]
    ours, theirs = zip(*rounds, strict=True)
    ratios = [mine / other for mine, other in rounds]
    print(platform_line())
    print(f"µs of CPU time a question, {args.at_once} at once, uvloop; {args.rounds} rounds: median (range)")
    print(f"  smtpgate    {_spread(ours, 1)}")
    print(f"  dnspython   {_spread(theirs, 1)}")
    print(f"  ratio       {_spread(ratios, 3)}")
    return 0


async def _measure(resolver: "Callable[[int], contextlib.AbstractContextManager[_Ask]]", port: int, questions: int,
                   at_once: int) -> float:  # fmt: skip
    """µs of this process's CPU time for each question."""
    numbers = iter(range(questions))
    with resolver(port) as ask:

        async def client() -> None:
            for number in numbers:
                label, kind, exists = _KINDS[number % len(_KINDS)]
                assert await ask(f"{label}{number}.some.example.org", kind) is exists

        began = time.process_time()
        await asyncio.gather(*itertools.starmap(client, itertools.repeat((), at_once)))
        return (time.process_time() - began) / questions * 1e6


@contextlib.contextmanager
def _smtpgate(port: int) -> Iterator[_Ask]:
    stub = StubResolver([Endpoint("127.0.0.1", port)], 5.0)
    cache = CachingResolver(stub)

    async def ask(name: str, kind: RecordType) -> bool:
        return bool((await cache.query(name, kind)).records)

    yield ask
    stub.close()


@contextlib.contextmanager
def _dnspython(port: int) -> Iterator[_Ask]:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    resolver.use_edns(0, 0, 1232)

    async def ask(name: str, kind: RecordType) -> bool:
        try:
            return bool(await resolver.resolve(name, kind, search=False))
        except dns.resolver.NXDOMAIN:
            return False

    yield ask


@contextlib.contextmanager
def _server() -> Iterator[int]:
    """The port of a server that runs while the block does."""
    with subprocess.Popen([sys.executable, "-m", "bench.answers"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def _spread(figures: "tuple[float, ...] | list[float]", digits: int) -> str:
    return f"{median(figures):.{digits}f} ({min(figures):.{digits}f}–{max(figures):.{digits}f})"
