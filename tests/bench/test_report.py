"""The bench's arithmetic, on figures that can be worked out by hand."""

import platform
import sysconfig

import pytest

from bench.hot_spots import Spot, from_stacks
from bench.report import Sample, foreign_share, platform_line, rows, table


def sample(rate: float, gate_cpu: float = 1.0, foreign_cpu: float = 0.0) -> Sample:
    """Ten seconds at so many messages a second."""
    return Sample(round(rate * 10), 10.0, gate_cpu, gate_cpu * 2, foreign_cpu)


# Three rounds; in the second one something slowed both down.
PAIRS = [(sample(80), sample(100)), (sample(20), sample(40)), (sample(90), sample(100))]


def test_the_ratio_is_taken_within_each_round():
    messages = rows(PAIRS)[0]
    assert (messages.ours, messages.theirs) == (80, 100)
    assert messages.ratio == (pytest.approx(0.8), pytest.approx(0.5), pytest.approx(0.9))


def test_cpu_is_by_message_and_in_milliseconds():
    _, gate, bench, machine = rows([(sample(100, gate_cpu=2.0, foreign_cpu=0.5), sample(100, gate_cpu=1.0))])
    assert (gate.ours, gate.theirs) == (pytest.approx(2.0), pytest.approx(1.0))
    assert gate.ratio.median == pytest.approx(2.0)
    assert (bench.ours, bench.theirs) == (pytest.approx(1.5), pytest.approx(1.0))
    assert (machine.ours, machine.theirs) == (pytest.approx(4.0), pytest.approx(2.0))


def test_what_the_client_manages_alone_is_compared_within_each_round_too():
    assert "without a gate: 200 messages/s, 2.00 (2.00–5.00) times Postfix's" in table("4 KB", PAIRS, [200, 200, 200])


@pytest.mark.parametrize(("foreign_cpu", "share"), [(0.0, 0.0), (2.0, 0.1), (-0.1, 0.0)])
def test_what_other_programs_took_is_a_share_of_all_cores(foreign_cpu: float, share: float):
    pairs = [(sample(100, foreign_cpu=foreign_cpu), sample(100, foreign_cpu=foreign_cpu))]
    assert foreign_share(pairs, cores=2) == pytest.approx(share)


def test_a_busy_machine_is_admitted():
    assert "!" not in table("4 KB", PAIRS, [200, 200, 200])
    assert "other programs had" in table("4 KB", [(sample(100, foreign_cpu=100.0), sample(100))], [200])


@pytest.mark.parametrize(
    ("options", "flag", "said"),
    [
        ("'--prefix=/opt' '--enable-shared'", "-fprofile-use", ", built without optimisation (PGO, LTO)"),
        ("'--enable-optimizations'", "-fprofile-use", ", built with optimisation (PGO)"),
        ("'--enable-optimizations' '--with-lto=thin'", "-fprofile-use", ", built with optimisation (PGO, LTO)"),
        ("'--prefix=/usr' '--enable-shared'", "", ""),  # Debian's own
        (None, None, ""),
    ],
)
def test_how_python_was_built_is_said_if_it_can_be_told(
    options: str | None, flag: str | None, said: str, monkeypatch: pytest.MonkeyPatch
):
    variables = {"CONFIG_ARGS": options, "PGO_PROF_USE_FLAG": flag}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    assert platform_line().endswith(f"Python {platform.python_version()}{said}")


def test_the_profile_counts_a_function_once_however_often_it_stands_in_a_stack():
    stacks = "\n".join(
        [
            "thread (1): MainThread;run (a.py:1);twice (a.py:2);twice (a.py:3) 3",
            "thread (1): MainThread;run (a.py:9) 1",
            "thread (2): store;wait (b.py:1) 100",
        ]
    )
    assert set(from_stacks(stacks)) == {Spot("run (a.py)", 0.25, 1.0), Spot("twice (a.py)", 0.75, 0.75)}
