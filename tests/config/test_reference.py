"""docs/configuration.md lists every option, with its default and its description as the program has them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.rules import RuleSettings
from smtpgate.config.settings import SECTIONS
from smtpgate.config.toml import inline

DOC = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
HEADERS = {
    f"[[{name}]]" if name in ("listener", "route") else f"[{name}]": options for name, options in SECTIONS.items()
}


def part(title: str) -> list[str]:
    """The table rows below a title, without those of other tables."""
    body = DOC.split(f"\n### {title}\n")[1].split("\n#")[0]
    tables = [block for block in body.strip().split("\n\n") if block.startswith(("| option |", "| rule |"))]
    return tables[0].split("\n")[2:]


def rows(options: type[Any], prefix: str = "|") -> list[str]:
    return [f"{prefix} {row(field)} |" for field in dataclasses.fields(options)]


def row(field: dataclasses.Field[Any]) -> str:
    default = field.metadata["written_default"]
    written = "required" if default is dataclasses.MISSING else f"`{inline(default)}`"
    mark = ", *argument*" if field.metadata["argument"] else ""
    return f"`{field.name}`{mark} | {written} | {field.metadata['help']}"


@pytest.mark.parametrize("header", HEADERS)
def test_sections(header: str) -> None:
    assert part(header) == rows(HEADERS[header])


def test_options_of_every_rule() -> None:
    assert part("Options of every rule") == rows(RuleSettings)


def test_options_of_single_rules() -> None:
    listed = [
        line for name, spec in sorted(REGISTRY.items()) if spec.options for line in rows(spec.options, f"| `{name}` |")
    ]
    assert part("Options of single rules") == listed
