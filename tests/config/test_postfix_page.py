"""docs/postfix.md names every restriction of Postfix, and says truly whether it is here."""

import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.postfix import ALIASES, GONE, NOT_HERE, RESTRICTIONS

DOC = (Path(__file__).parents[2] / "docs" / "postfix.md").read_text()
ROWS = re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", DOC.split("## Every restriction")[1], re.MULTILINE)
NOT_CHECKS = {"warn_if_reject"}


def test_every_restriction_stands_there_once() -> None:
    assert sorted(name for name, _ in ROWS) == sorted((*RESTRICTIONS, *ALIASES, *GONE, *NOT_HERE))


@pytest.mark.parametrize(("name", "here"), ROWS)
def test_what_is_said_of_it(name: str, here: str) -> None:
    assert re.match(r"(same|differs|not here)\b", here)
    if here.startswith("not here"):
        assert name not in REGISTRY
    else:
        assert ALIASES.get(name, name) in REGISTRY.keys() | NOT_CHECKS | RESTRICTIONS
    if name in ALIASES:
        assert here == f"same: another name of `{ALIASES[name]}`"
