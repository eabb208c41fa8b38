"""docs/checks has a page for every check, which says what the registry says, and docs/rules.md leads to each."""

import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load
from tests.checks.rules_page import problems, title

DOCS = Path(__file__).parents[2] / "docs"
_CONFIG = """
[server]
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:var/mail"
[phases]
"""
PAGES = {path.stem: path.read_text() for path in (DOCS / "checks").glob("*.md")}


def test_every_check_has_a_page_and_every_page_a_check() -> None:
    assert sorted(PAGES) == sorted(REGISTRY)


def test_the_overview_leads_to_every_page_once() -> None:
    overview = (DOCS / "rules.md").read_text()
    assert sorted(re.findall(r"\[(\w+)\]\(checks/\1\.md\)", overview)) == sorted(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_overview_says_what_the_page_begins_with(name: str) -> None:
    (line,) = re.findall(rf"^- \[{name}\]\(checks/{name}\.md\): (.*)$", (DOCS / "rules.md").read_text(), re.MULTILINE)
    assert PAGES[name].split("\n\n")[1].replace("\n", " ").startswith(line)
    assert len(line) <= 110
    assert line[-1] in ".?"


@pytest.mark.parametrize("name", REGISTRY)
def test_a_page_agrees_with_its_row(name: str) -> None:
    assert title(PAGES[name]) == name
    assert problems(PAGES[name], REGISTRY[name], REGISTRY) == []


@pytest.mark.parametrize("name", REGISTRY)
def test_a_page_names_the_codes_that_its_check_documents(name: str) -> None:
    codes = re.compile(r"\b[45]\d\d [45]\.\d+\.\d+\b")
    assert set(codes.findall(REGISTRY[name].check.__doc__ or "")) <= set(codes.findall(PAGES[name]))


@pytest.mark.parametrize("name", REGISTRY)
def test_a_pages_examples_are_configurations(name: str, tmp_path: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", PAGES[name], re.MULTILINE | re.DOTALL):
        guard = "" if "rcpt = " in block else 'rcpt = ["reject_unauth_destination"]\n'
        wrong = []
        try:
            load(_CONFIG + guard + block.replace("/etc/postfix", str(tmp_path)), REGISTRY)
        except ConfigErrors as errors:
            wrong = [error.problem for error in errors.errors if "there is no such file" not in error.problem]
        assert wrong == []
