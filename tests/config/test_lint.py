"""Each directory of tests/lint holds a configuration and, word for word, what `smtpgate config check` says about it."""

from pathlib import Path

import pytest

from smtpgate.cli import main

CASES = sorted(path.parent for path in Path(__file__).parent.parent.glob("lint/*/config.toml"))


def check(*options: str) -> int:
    try:
        return main(["config", "check", *options])
    except SystemExit as exited:
        return int(str(exited.code))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said(case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(case)
    status = check()
    out, err = capsys.readouterr()
    assert err + out == (case / "expected.txt").read_text()
    assert status == (0 if "is right" in out else 1)
    assert check("--strict") == (1 if err else 0), "notes alone are no reason"


def test_there_are_cases() -> None:
    assert len(CASES) > 25
