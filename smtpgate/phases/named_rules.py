"""The rules that no list names, but results of tables: they are asked like the others, once a table leads to them."""

import dataclasses
from collections.abc import Iterable, Iterator

from smtpgate.phases.access_table import TableUse
from smtpgate.phases.rule import Rule


def named_by_tables(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Those that the tables of these rules lead to, and the tables of those in turn.

    As the tables are now: what the store or a policy service says is not known before it is asked.
    """
    seen: set[TableUse] = set()
    waiting = list(rules)
    while waiting:
        for use in _tables(waiting.pop()):
            if use not in seen:  # results may lead to their own table
                seen.add(use)
                named = use.rules()
                waiting += named
                yield from named


def _tables(rule: Rule) -> Iterator[TableUse]:
    fields = dataclasses.fields(rule.options) if rule.options is not None else ()
    for field in fields:
        value = getattr(rule.options, field.name)
        if isinstance(value, TableUse):
            yield value
