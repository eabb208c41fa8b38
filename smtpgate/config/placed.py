"""A rule where it stands: what messages about it need to name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smtpgate.config.lines import Path
from smtpgate.phases.rule import Rule


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule and its place in the file. effective: the rule as a table, with every default."""

    rule: Rule
    path: Path
    line: int | None
    effective: Mapping[str, Any]
