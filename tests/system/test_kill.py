"""Workers are killed and the downstream dies while clients send; `python -m bench kill` is the long form."""

from pathlib import Path

import pytest

from bench.kill import Plan, kill_test


@pytest.mark.parametrize("seed", [1])
def test_every_message_that_got_a_250_is_there(seed: int, tmp_path: Path) -> None:
    result = kill_test(Plan(messages=200, kills=4, deaths=3, seed=seed), tmp_path)
    log = (tmp_path / "smtpgate.log").read_text(errors="replace")
    assert result.is_right, f"{result}\n{log[-5000:]}"
    assert result.accepted == 200
    assert result.killed == 4
    assert sum(result.died.values()) == 3
    assert "Traceback" not in log
