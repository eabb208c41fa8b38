"""docs/rules.md says of every check what the registry says."""

import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from tests.checks.rules_page import problems, sections

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text()
SECTIONS = sections(PAGE)


def test_every_check_has_a_section_and_every_section_a_check() -> None:
    assert sorted(SECTIONS) == sorted(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_section_agrees_with_its_row(name: str) -> None:
    assert problems(SECTIONS[name], REGISTRY[name], REGISTRY) == []


@pytest.mark.parametrize("name", REGISTRY)
def test_a_section_names_the_codes_that_its_check_documents(name: str) -> None:
    codes = re.compile(r"\b[45]\d\d [45]\.\d+\.\d+\b")
    assert set(codes.findall(REGISTRY[name].check.__doc__ or "")) <= set(codes.findall(SECTIONS[name]))
