"""What a command loads: whoever asks a question does not wait for what only the server needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from smtpgate.cli import COMMANDS, parser

CONFIG = """
[server]
control = "smtpgate.sock"
[store]
url = "sqlite:///smtpgate.db"
[phases]
rcpt = ["no_such_rule"]
"""
HEAVY = ("uvloop", "aiosmtpd", "alembic", "spf", "dkim", "smtpgate.checks.registry", "smtpgate.server.worker")


def loaded(directory: Path, *command: str) -> tuple[str, set[str]]:
    """What a command wrote to standard error, and which modules it had loaded in the end."""
    program = (
        "import sys; from smtpgate.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules))"
    )
    (directory / "config.toml").write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stderr, set(done.stdout.split())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["why", "you@example.org"], "no database at "),
        (["status"], "smtpgate.sock"),
        (["reload"], "smtpgate.sock"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_questions_load_little_and_need_no_rules(command: list[str], said: str, tmp_path: Path) -> None:
    told, modules = loaded(tmp_path, *command)
    assert said in told
    assert "no_such_rule" not in told
    assert modules.isdisjoint(HEAVY)


def test_the_configuration_is_checked_without_the_server(tmp_path: Path) -> None:
    told, modules = loaded(tmp_path, "config", "check")
    assert 'unknown rule "no_such_rule"' in told
    assert modules.isdisjoint({"uvloop", "alembic", "sqlalchemy", "smtpgate.server.worker"})


def test_help_names_all_commands() -> None:
    words = parser().format_help().split()
    assert all(name in words for name in COMMANDS)
