"""Rules that ask the DNS, beside Postfix: what they add to a message's latency, and how many messages pass.

Every message comes from a new client, of a new name, with a new sender's domain, so that no answer is known yet. Both
gates ask the same list in the same order. It needs root: the measurement has a network of its own, in which nobody but
its own DNS server answers.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import uvloop

from bench import cpu
from bench.mail import plain
from bench.namespace import enter
from bench.peers import GUARD_ALONE, RECIPIENT, Gate, bare_gate, postfix, smtp_sink, smtpgate
from bench.processes import ELSEWHERE, Unusable, server, workplace
from bench.report import Sample, headline, table
from bench.strangers import Strangers

_DNS = "127.0.0.1"
_LISTS = tuple(f"list{number}.example" for number in range(1, 5))
_RULES = ", ".join(
    (
        GUARD_ALONE,
        "reject_unknown_client_hostname",
        "reject_unknown_sender_domain",
        *(f"reject_rbl_client {name}" for name in _LISTS),
    )
)


class _Case(NamedTuple):
    """delay: of each DNS answer, in milliseconds. clients: at one time."""

    name: str
    delay: float
    clients: int


_CASES = (
    _Case("a DNS of 20 ms, one client", 20, 1),
    _Case("a DNS without delay, 50 clients", 0, 50),
    _Case("a DNS of 20 ms, 90 clients", 20, 90),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--rounds", type=int, default=5, help="turns that each gate has, in each case (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="what one turn takes (%(default)s)")
    parser.add_argument("--case", type=int, choices=range(len(_CASES)), help=f"one alone: {'; '.join(_names())}")
    parser.add_argument(
        "--bare", action="store_true", help="the least that a gate in Python costs which asks, instead of smtpgate"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    with workplace() as directory:
        enter(directory, _DNS)
        print(headline(), flush=True)
        for number, case in enumerate(_CASES):
            if args.case in (None, number):
                place = directory / str(number)
                place.mkdir()
                print(_of_case(case, args, place), flush=True)
    return 0


def _names() -> Sequence[str]:
    return [f"{number}: {case.name}" for number, case in enumerate(_CASES)]


def _of_case(case: _Case, args: argparse.Namespace, directory: Path) -> str:
    names = [*ELSEWHERE, sys.executable, "-m", "bench.name_server", _DNS, str(case.delay)]
    with (
        server(names, 53, directory / "names.log"),
        smtp_sink(directory) as sink,
        _ours(directory, sink, bare=args.bare) as ours,
        postfix(directory / "postfix", sink, _RULES) as theirs,
    ):
        seeds = iter(range(sys.maxsize))

        def strangers(port: int) -> Strangers:
            return Strangers(port, [plain()], next(seeds), recipient=RECIPIENT)

        def turn(gate: Gate) -> Sample:
            return _turn(strangers(gate.port), case.clients, args.seconds, gate, theirs)

        turn(ours), turn(theirs)  # processes are still being started, modules loaded
        pairs, ungated = [], []
        for _ in range(args.rounds):
            pairs.append((turn(ours), turn(theirs)))
            straight = strangers(sink)
            uvloop.run(straight.send(args.seconds, case.clients))
            ungated.append(len(straight.latencies) / args.seconds)
    return table(case.name, pairs, ungated, ours.name)


def _ours(directory: Path, sink: int, *, bare: bool) -> AbstractContextManager[Gate]:
    """What is compared with Postfix."""
    if bare:
        return bare_gate(directory, sink, (_DNS, *_LISTS))
    return smtpgate(directory / "smtpgate", sink, rules=_RULES, nameservers=[_DNS])


def _turn(strangers: Strangers, clients: int, seconds: float, gate: Gate, apart: Gate) -> Sample:
    """One turn of one gate. apart: the gate whose processes have left this process's tree. Raises Unusable."""

    def of_all() -> float:
        return cpu.of_tree(os.getpid()) + cpu.of_tree(apart.pid)

    all_before, gate_before, machine_before = of_all(), cpu.of_tree(gate.pid), cpu.of_machine()
    started = time.perf_counter()
    uvloop.run(strangers.send(seconds, clients))
    took = time.perf_counter() - started
    gate_cpu, machine_cpu = cpu.of_tree(gate.pid) - gate_before, cpu.of_machine() - machine_before
    foreign_cpu = machine_cpu - (of_all() - all_before)
    (answers,) = strangers.answers.values()
    if any(not answer.startswith("250 ") for answer in answers):
        raise Unusable(f"{gate.name} answered {dict(answers)}")
    return Sample(answers.total(), took, gate_cpu, machine_cpu, foreign_cpu, median(strangers.latencies))
