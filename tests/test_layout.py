"""The project's promises about itself: who imports whom, how it is tested, what it is installed from."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def test_the_import_contracts_hold() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_no_test_sleeps(path: Path) -> None:
    calls = re.findall(r"\b(?:time|asyncio)\.sleep\((?!0\))", path.read_text())
    assert not calls, "wait for what must happen, or move the clock"


@pytest.mark.parametrize(("lock", "extras"), [("run", []), ("test", ["test"])])
def test_the_lock_holds_every_dependency_with_its_hashes(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(name for extra in extras for name in project["optional-dependencies"][extra])]
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    locked = re.findall(r"^([a-z0-9._-]+)==(\S+) \\\n    --hash=sha256:", text, re.MULTILINE)
    names = {re.sub(r"[._]", "-", name) for name, _ in locked}
    missing = {re.split(r"[=<>~! ]", name)[0].lower() for name in wanted} - names
    assert not missing, "make lock"
    assert len(locked) == len(re.findall(r"^\S+==", text, re.MULTILINE)), "a package without a hash"


def test_the_lock_names_no_index() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"^\s*--(?!hash)|https?://", lock.read_text(), re.MULTILINE), lock.name


@pytest.mark.parametrize("path", sorted((ROOT / "smtpgate").rglob("*.py")), ids=lambda path: path.stem)
def test_no_expression_repeats_a_group_possessively(path: Path) -> None:
    """Python before 3.11.5, which Debian 12 has, matches it wrongly (gh-106052); [...]*+ is all right."""
    assert not re.findall(r"\)(?:[*+?]|\{[0-9,]+\})\+", path.read_text())


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_file_names_are_unique() -> None:
    """Test directories are no packages: two files of one name would be taken for one."""
    names = sorted(path.name for path in TESTS if path.name.startswith("test_"))
    assert names == sorted(set(names))
