"""The wheel, built from what the container is built from, installed without a network, used from elsewhere."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import smtpgate
from smtpgate.checks.registry import REGISTRY
from tests.system.gate import ROOT
from tests.system.program import PATIENCE


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs of an environment into which the wheel was installed."""
    directory = tmp_path_factory.mktemp("wheel")
    source = _copied_into_the_image(directory / "source")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=240)
    [wheel] = directory.glob("*.whl")
    environment = directory / "venv"
    venv.create(environment, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    install = [*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    [library] = environment.glob("lib/python*/site-packages")
    # What it depends on is borrowed from the environment that runs the tests; smtpgate itself is found here first.
    (library / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def _copied_into_the_image(source: Path) -> Path:
    """What docker-compose.yml copies, and nothing else."""
    for words in re.findall(r"^ *COPY (.+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE):
        *names, target = words.split()
        for name in names:
            to = source / target / (name if target.endswith("/") else "")
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, to)
    return source


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run one of its programs in a directory that knows nothing of the source."""

    def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [installed / program, *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_it_is_the_wheel_that_is_run(run: Run, installed: Path) -> None:
    where = run("python", "-c", "import smtpgate; print(smtpgate.__file__)").stdout
    assert where.startswith(str(installed.parent))


@pytest.mark.parametrize("command", [["smtpgate"], ["python", "-m", "smtpgate"]], ids=["script", "module"])
def test_both_commands(command: list[str], run: Run) -> None:
    done = run(*command, "--version")
    assert (done.returncode, done.stdout) == (0, f"smtpgate {smtpgate.__version__}\n")


def test_the_pages_of_the_rules_are_inside(run: Run) -> None:
    listed = run("smtpgate", "rules")
    assert (listed.returncode, listed.stderr) == (0, "")
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert sorted(names) == sorted(REGISTRY)
    page = run("smtpgate", "rules", "reject_unknown_client")
    assert page.stdout == (ROOT / "docs" / "checks" / "reject_unknown_client_hostname.md").read_text()


def test_the_migrations_are_inside(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text((ROOT / "config.toml").read_text())
    for expected in ("created", "already up to date"):
        done = run("smtpgate", "db", "upgrade")
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    assert (tmp_path / "var" / "smtpgate.db").stat().st_size > 0
