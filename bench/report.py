"""From samples to what is printed."""

import os
import platform
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from datetime import date
from statistics import median
from typing import NamedTuple

from bench.processes import require

# Above this share of the cores, what other programs do is more than noise. It does not meet both gates alike: the
# scheduler gives twenty processes of Postfix more of a busy machine than a single one.
_FOREIGN_SHARE = 0.05


class Sample(NamedTuple):
    """One turn of one gate. Times in seconds.

    gate_cpu: of the gate's processes. machine_cpu: of everything, the client and smtp-sink included.
    foreign_cpu: of programs that have nothing to do with the measurement. latency: of a message, from the connection to
    its last reply, the median; None if nobody looked.
    """

    messages: int
    seconds: float
    gate_cpu: float
    machine_cpu: float
    foreign_cpu: float
    latency: float | None = None

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def bench_cpu(self) -> float:
        """Of what the measurement itself needs: client and smtp-sink, and the DNS server if there is one."""
        return self.machine_cpu - self.foreign_cpu - self.gate_cpu


class Ratio(NamedTuple):
    """Ours to theirs, turn by turn."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.most:.2f})"


class Row(NamedTuple):
    """One figure: the medians of both, and their ratio."""

    name: str
    ours: float
    theirs: float
    ratio: Ratio


Pairs = Sequence[tuple[Sample, Sample]]

_FIGURES: dict[str, Callable[[Sample], float | None]] = {
    "messages/s": lambda sample: sample.rate,
    "latency of a message, ms": lambda sample: None if sample.latency is None else sample.latency * 1000,
    "CPU of the gate, ms/message": lambda sample: sample.gate_cpu / sample.messages * 1000,
    "CPU of the bench, ms/message": lambda sample: sample.bench_cpu / sample.messages * 1000,
    "CPU of the machine, ms/message": lambda sample: sample.machine_cpu / sample.messages * 1000,
}


def rows(pairs: Pairs) -> list[Row]:
    """The figures of one kind of message. pairs: smtpgate's and Postfix's sample of each round."""
    found = []
    for name, figure in _FIGURES.items():
        ours, theirs = (_known(figure, samples) for samples in zip(*pairs, strict=True))
        if not ours:
            continue
        ratio = _ratio([mine / other if other else float("inf") for mine, other in zip(ours, theirs, strict=True)])
        found.append(Row(name, median(ours), median(theirs), ratio))
    return found


def _ratio(ratios: Sequence[float]) -> Ratio:
    return Ratio(median(ratios), min(ratios), max(ratios))


def _known(figure: Callable[[Sample], float | None], samples: Sequence[Sample]) -> list[float]:
    return [value for sample in samples if (value := figure(sample)) is not None]


def foreign_share(pairs: Pairs, cores: int) -> float:
    """How much of the machine other programs had meanwhile, 0 … 1."""
    samples = [sample for pair in pairs for sample in pair]
    return max(0.0, sum(sample.foreign_cpu for sample in samples)) / (sum(sample.seconds for sample in samples) * cores)


def table(name: str, pairs: Pairs, ungated: Sequence[float], gate: str = "smtpgate") -> str:
    """What is printed for one kind of message.

    ungated: messages per second that went straight to smtp-sink, in each round. gate: what is compared with Postfix.
    """
    cores = os.cpu_count() or 1
    count = [sum(sample.messages for sample in samples) for samples in zip(*pairs, strict=True)]
    lines = [
        f"\n{name}: {len(pairs)} rounds, {count[0]} and {count[1]} messages",
        f"  {'':32}{gate:>10}{'Postfix':>10}   ratio (range)",
    ]
    lines += [
        f"  {row.name:32}{row.ours:10.{_digits(row)}f}{row.theirs:10.{_digits(row)}f}   {row.ratio}"
        for row in rows(pairs)
    ]
    most = _ratio([rate / theirs.rate for rate, (_, theirs) in zip(ungated, pairs, strict=True)])
    lines.append(f"  without a gate: {median(ungated):.0f} messages/s, {most} times Postfix's")
    share = foreign_share(pairs, cores)
    if share > _FOREIGN_SHARE:
        lines.append(f"  ! other programs had {share:.0%} of the cores: only the CPU of the gate can be compared")
    return "\n".join(lines)


def headline() -> str:
    """Where and with what this was measured."""
    postfix = subprocess.run([require("postconf"), "-d", "-h", "mail_version"], capture_output=True, text=True).stdout
    return f"{platform_line()}, Postfix {postfix.strip()}"


def platform_line() -> str:
    """Where this was measured."""
    return (
        f"{date.today()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}{_build()}"
    )


def _build() -> str:
    """How the Python that runs this was built, as far as it can be told."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    if "--enable-optimizations" in options:
        return f", built with optimisation (PGO{', LTO' if '--with-lto' in options else ''})"
    # Debian's is optimised without that option, and tells nothing: it ships none of the flags with which it was made.
    return ", built without optimisation (PGO, LTO)" if sysconfig.get_config_var("PGO_PROF_USE_FLAG") else ""


def _digits(row: Row) -> int:
    return 0 if min(row.ours, row.theirs) >= 100 else 2
