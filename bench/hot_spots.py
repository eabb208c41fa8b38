"""Where a worker's time goes, function by function, under the load of 4 KB messages.

With py-spy, if it is installed, which looks on from outside and, since it does not stop the process for that, may see a
few stacks that never were; otherwise with Python's own cProfile, which makes small functions look dearer than they are.
"""

import argparse
import os
import pstats
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench import load
from bench.load import CASES, Case
from bench.peers import smtp_sink, smtpgate
from bench.processes import Unusable, workplace

_SAMPLES_A_SECOND = 400


class Spot(NamedTuple):
    """One function. own, inclusive: its share of all time, without and with what it calls, 0 … 1."""

    function: str
    own: float
    inclusive: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--seconds", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--sessions", type=int, default=20, help="at one time (%(default)s)")
    parser.add_argument("--top", type=int, default=40, help="functions to print (%(default)s)")
    parser.add_argument("--case", type=int, choices=range(len(CASES)), default=0, help="; ".join(_names()))
    parser.add_argument("--native", action="store_true", help="C functions too (py-spy)")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    with workplace() as directory, smtp_sink(directory) as sink:
        profile = _with_py_spy if spy else _with_cprofile
        spots = profile(args, directory, sink, spy or "")
    print(f"{CASES[args.case].name}, by {'py-spy' if spy else 'cProfile'}\n   self  with callees  function")
    for spot in sorted(spots, key=lambda spot: spot.own, reverse=True)[: args.top]:
        print(f"{spot.own:7.1%} {spot.inclusive:13.1%}  {spot.function}")
    return 0


def _names() -> Iterable[str]:
    return (f"{number}: {case.name}" for number, case in enumerate(CASES))


def _with_py_spy(args: argparse.Namespace, directory: Path, sink: int, spy: str) -> list[Spot]:
    stacks = directory / "stacks"
    with smtpgate(directory / "smtpgate", sink, one_process=True) as gate:
        case = CASES[args.case]
        messages = round(load.rate(gate.port, case, args.sessions) * args.seconds)
        command = [spy, "record", "--format", "raw", "--threads", "--nonblocking", "--rate", str(_SAMPLES_A_SECOND)]
        command += ["--output", str(stacks), "--pid", str(gate.pid), "--duration", str(max(1, int(args.seconds)))]
        command += ["--native"] if args.native else []
        sending = threading.Thread(target=_send, args=(gate.port, case, messages, args.sessions))
        sending.start()
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.seconds + 60)
        sending.join()
    if not stacks.exists():
        raise Unusable(f"py-spy: {done.stderr.strip()}")
    return from_stacks(stacks.read_text())


def _with_cprofile(args: argparse.Namespace, directory: Path, sink: int, _: str) -> list[Spot]:
    out = directory / "profile"
    with smtpgate(directory / "smtpgate", sink, launcher=("-m", "cProfile", "-o", str(out)), one_process=True) as gate:
        case = CASES[args.case]
        load.send(gate.port, case, round(load.rate(gate.port, case, args.sessions) * args.seconds), args.sessions)
    return from_calls(pstats.Stats(str(out)))


def _send(port: int, case: Case, messages: int, sessions: int) -> None:
    try:
        load.send(port, case, messages, sessions)
    except Unusable as trouble:
        print(f"bench: {trouble}", file=sys.stderr)


def from_stacks(text: str) -> list[Spot]:
    """Spots of the main thread from collapsed stacks: "thread;caller;…;function count" lines.

    The store's and the log's threads are left out: they mostly wait, which py-spy takes for work now and then.
    """
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if not frames or not thread.endswith("MainThread"):
            continue
        frames = [_short(frame) for frame in frames]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    total = sum(own.values())
    return [Spot(frame, own[frame] / total, count / total) for frame, count in inclusive.items()]


def from_calls(stats: pstats.Stats) -> list[Spot]:
    """Spots from cProfile's figures; waiting for the network counts as nothing."""
    found = {}
    for (file, line, name), (_, _, own, inclusive, _) in stats.stats.items():  # type: ignore[attr-defined]
        function = f"{name} ({_short_path(file)}:{line})" if line else name
        found[function] = (own, inclusive)
    total = sum(own for own, _ in found.values()) or 1.0
    return [Spot(function, own / total, inclusive / total) for function, (own, inclusive) in found.items()]


def _short(frame: str) -> str:
    """A frame without the line, so that a function is one spot, and without the way to its package."""
    name, bracket, place = frame.rpartition(" (")
    return f"{name} ({_short_path(place.rstrip(')').rpartition(':')[0] or place.rstrip(')'))})" if bracket else frame


def _short_path(path: str) -> str:
    for root in (os.getcwd(), *sys.path):
        if root and path.startswith(root + os.sep):
            return path[len(root) + 1 :]
    return path
