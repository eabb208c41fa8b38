"""smtp-source → smtpgate → smtp-sink beside smtp-source → Postfix → smtp-sink, in turns."""

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple

from bench import cpu, load
from bench.load import CASES, Case
from bench.peers import Gate, bare_gate, postfix, smtp_sink, smtpgate
from bench.processes import workplace
from bench.report import Sample, headline, table


class _Turns(NamedTuple):
    """How long, how often, and with how many sessions at one time."""

    rounds: int
    seconds: float
    sessions: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--quick", action="store_true", help="a first look, in under 40 s")
    parser.add_argument("--rounds", type=int, help="turns that each gate has, for each kind of message (7; quick: 3)")
    parser.add_argument("--seconds", type=float, help="roughly what one turn takes (4; quick: 1.2)")
    parser.add_argument("--sessions", type=int, default=20, help="at one time (%(default)s)")
    parser.add_argument(
        "--bare", action="store_true", help="the least that a gate in Python costs, instead of smtpgate"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    rounds = args.rounds or (3 if args.quick else 7)
    seconds = args.seconds or (1.2 if args.quick else 4.0)
    turns = _Turns(rounds, seconds, args.sessions)
    with (
        workplace() as directory,
        smtp_sink(directory) as sink,
        bare_gate(directory, sink) if args.bare else smtpgate(directory / "smtpgate", sink) as ours,
        postfix(directory / "postfix", sink) as theirs,
    ):
        print(headline(), flush=True)
        for case in CASES:
            print(_of_case(case, turns, ours, theirs, sink), flush=True)
    return 0


def _of_case(case: Case, turns: _Turns, ours: Gate, theirs: Gate, sink: int) -> str:
    """Let the gates, and none, take turns, so that a slower minute of the machine meets all alike."""

    def messages(port: int) -> int:
        return max(turns.sessions, round(load.rate(port, case, turns.sessions) * turns.seconds))

    gates = [_turn(gate, theirs, case, messages(gate.port), turns.sessions) for gate in (ours, theirs)]
    straight = messages(sink)
    pairs, ungated = [], []
    for _ in range(turns.rounds):
        pairs.append((gates[0](), gates[1]()))
        ungated.append(straight / load.send(sink, case, straight, turns.sessions))
    return table(case.name, pairs, ungated, ours.name)


def _turn(gate: Gate, apart: Gate, case: Case, messages: int, sessions: int) -> Callable[[], Sample]:
    def measure() -> Sample:
        def of_all() -> float:
            # Postfix's master has left this process's tree.
            return cpu.of_tree(os.getpid()) + cpu.of_tree(apart.pid)

        all_before, gate_before, machine_before = of_all(), cpu.of_tree(gate.pid), cpu.of_machine()
        seconds = load.send(gate.port, case, messages, sessions)
        machine = cpu.of_machine() - machine_before
        return Sample(
            messages, seconds, cpu.of_tree(gate.pid) - gate_before, machine, machine - (of_all() - all_before)
        )

    return measure
