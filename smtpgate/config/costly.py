"""Warnings about regular expressions that strangers could keep the server busy with."""

import dataclasses
from collections.abc import Iterator

from smtpgate.config.errors import ConfigError, quote
from smtpgate.config.settings import Settings
from smtpgate.phases.access_table import TableUse
from smtpgate.phases.named_rules import named_by_tables
from smtpgate.phases.rule import Rule
from smtpgate.tables.cost import explodes
from smtpgate.tables.patterns import Patterns

_HINT = "repeat what ends with a character that fits nothing else in it: (a+,)+ and not (a+,?)+, a+b and not a*a*b"


def costly_expressions(settings: Settings, file: str) -> tuple[str, ...]:
    """A sentence for each expression that some texts make very slow. Takes milliseconds for each expression.

    file: the configuration's.
    """
    seen: set[Patterns] = set()
    found = []
    for rule in (*settings.rules, *named_by_tables(settings.rules)):
        for name, patterns in _tables(rule):
            if patterns in seen:
                continue
            seen.add(patterns)
            for line, expression in patterns.expressions:
                if piece := explodes(expression):
                    problem = f"/{expression.pattern[:60]}/ can take very long, if a stranger sends many {quote(piece)}"
                    where = "" if name else f"{rule.spec.name}, line {line} of its table"
                    found.append(str(ConfigError(name or file, line if name else None, where, problem, hint=_HINT)))
    return tuple(found)


def _tables(rule: Rule) -> Iterator[tuple[str, Patterns]]:
    """The tables of expressions that a rule asks, each with its file, "" if it stands in the rule."""
    fields = dataclasses.fields(rule.options) if rule.options is not None else ()
    for field in fields:
        value = getattr(rule.options, field.name)
        if isinstance(value, TableUse) and isinstance(value.table.content, Patterns):
            yield value.table.file.path if value.table.file else "", value.table.content
        elif isinstance(patterns := getattr(value, "patterns", None), Patterns):
            yield value.file, patterns
