"""The message's header fields, each held against a table of expressions (Postfix: header_checks(5))."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.mailauth.message import HeaderEdit, HeaderField
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.header_action import Edit, HeaderAction, header_action
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Action, Verdict
from smtpgate.tables.files import TableFile, TableText, parse_table
from smtpgate.tables.patterns import Patterns
from smtpgate.tables.source import BadLines, Problem

# What is matched is written by strangers, and an expression may take long for each octet more.
_LONGEST_FIELD = 1000
# Characters times expressions that take no longer than handing them to a thread does.
_LITTLE = 20_000
_MOST_EVIDENCE = 10
_LONGEST_EVIDENCE = 200


@dataclass(frozen=True, slots=True)
class HeaderTable:
    """A table of expressions. public_text: as written. file: where it stands, "" if that is the configuration."""

    public_text: str
    patterns: Patterns
    file: str = ""

    def action(self, field: HeaderField) -> HeaderAction | None:
        """What is done about a field. Raises ValueError if a stranger's words make it nothing that can be done."""
        text = field.raw.removesuffix(b"\r\n").replace(b"\r\n", b"\n").decode("utf-8", "replace")
        result = self.patterns.find(text, True, _LONGEST_FIELD)
        return header_action(result) if result is not None else None


def header_table(value: Any) -> HeaderTable:
    """A file, "regexp:PATH" or "pcre:PATH", or the lines of a pcre table themselves."""
    if isinstance(value, list) and value and all(isinstance(line, str) and "\n" not in line for line in value):
        shown = "; ".join(value)[:_LONGEST_EVIDENCE]
        return HeaderTable(f"[{shown}]", _checked("", parse_table("pcre", "\n".join(value))))
    kind, _, path = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in ("regexp", "pcre") or not path:
        raise ValueError('a table such as "regexp:/etc/postfix/header_checks", or lines such as ["/^X-Old:/ IGNORE"]')
    try:
        read = TableFile(kind, path).read()
    except (OSError, ValueError) as error:
        raise ValueError(f"a file that can be read ({getattr(error, 'strerror', None) or error})") from None
    return HeaderTable(value, _checked(path, read), path)


def _checked(file: str, read: TableText) -> Patterns:
    """The table, if all of it can be used."""
    problems = list(read.problems)
    for line, result in read.table.entries:
        try:
            header_action(result)
        except ValueError as error:
            problems.append(Problem(line, str(error)))
    if problems:
        raise BadLines(file, sorted(problems))
    assert isinstance(read.table, Patterns)
    return read.table


@dataclass(frozen=True, slots=True)
class HeaderOptions:
    """Which expressions, and what they lead to."""

    table: HeaderTable = option(
        header_table, help="`regexp:PATH` or `pcre:PATH`, or the lines of a pcre table", argument=True
    )


async def header_checks(tx: Transaction, ctx: Context, options: HeaderOptions) -> Verdict:
    """Hold each header field against a table; the first expression that matches says what is done about it.

    Postfix: header_checks, 550 5.7.1 for REJECT. Fields can be removed, replaced and added before the downstream sees
    them.
    """
    fields, table = tx.message.fields, options.table
    work = sum(min(len(field.raw), _LONGEST_FIELD) for field in fields) * len(table.patterns.entries)
    if work <= _LITTLE:
        return _verdict(fields, table)
    # In a thread each expression holds up others for itself alone.
    return await asyncio.to_thread(_verdict, fields, table)


def _verdict(fields: Sequence[HeaderField], table: HeaderTable) -> Verdict:
    evidence: list[str] = []
    edits: dict[int, HeaderEdit] = {}
    deeds: list[MessageAction] = []
    for index, field in enumerate(fields):
        if not field.name:
            continue
        try:
            action = table.action(field)
        except ValueError as problem:  # as in Postfix, nothing is done then
            action = HeaderAction(f"not done, {problem}")
        if action is None:
            continue
        if len(evidence) < _MOST_EVIDENCE:
            shown = field.raw[:_LONGEST_EVIDENCE].decode("ascii", "backslashreplace").strip()
            evidence.append(f"{action.word}: {' '.join(shown.split())}")
        if action.reply is not None:
            kind = Action.DEFER if action.reply.is_temporary else Action.REJECT
            return Verdict(kind, action.reply, {"matched": evidence})
        if action.edit is not Edit.KEEP:
            is_before = action.edit is Edit.PREPEND
            edits[index] = HeaderEdit(before=action.field) if is_before else HeaderEdit(instead=action.field)
        if action.deed is not None:
            deeds.append(action.deed)
    discarded = any(deed.deed is Deed.DISCARD for deed in deeds)
    return Verdict(
        Action.PERMIT if discarded else Action.DUNNO,
        None,
        {"matched": evidence} if evidence else {},
        deeds=tuple(dict.fromkeys(deeds)),
        edits=tuple(edits.items()),
    )
