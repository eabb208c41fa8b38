"""Each directory of tests/bad_configs holds a configuration and, word for word, what is said about it."""

from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load_file

CASES = sorted(path.parent for path in Path(__file__).parent.parent.glob("bad_configs/*/config.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    with pytest.raises(ConfigErrors) as caught:
        load_file("config.toml", REGISTRY)
    assert f"{caught.value}\n" == (case / "expected.txt").read_text()


def test_there_are_cases() -> None:
    assert len(CASES) > 25
