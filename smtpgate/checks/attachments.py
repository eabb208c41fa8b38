"""Attachments that are not wanted, by their names or their types."""

import asyncio
import fnmatch
import re
from dataclasses import dataclass
from typing import Any

from smtpgate.mailauth.mime import find_parts
from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import option
from smtpgate.phases.verdict import Verdict, dunno, reject
from smtpgate.values import list_of

# What Windows runs when it is opened.
_PROGRAMS = (
    "*.bat", "*.chm", "*.cmd", "*.com", "*.cpl", "*.exe", "*.hta", "*.jar", "*.js", "*.jse", "*.lnk", "*.msi", "*.pif",
    "*.ps1", "*.reg", "*.scr", "*.vbe", "*.vbs", "*.wsf", "*.wsh",
)  # fmt: skip
_LONGEST_PATTERN = 100
_LONGEST_SHOWN = 100
_AT_ONCE = 100


class Patterns(tuple[str, ...]):
    """Names with * and ?, in lower case."""

    def match(self, text: str) -> bool:
        """Whether a text in lower case is like one of them."""
        return any(fnmatch.fnmatchcase(text, pattern) for pattern in self)


def _pattern(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PATTERN or not value.isprintable():
        raise ValueError('a pattern such as "*.exe"')
    return value.lower()


def _type_pattern(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/]{1,50}/[^\s/]{1,50}", value):
        raise ValueError('a type such as "application/x-msdownload" or "application/*"')
    return value.lower()


@dataclass(frozen=True, slots=True)
class AttachmentOptions:
    """What is not wanted."""

    names: Patterns = option(list_of(_pattern, Patterns), list(_PROGRAMS), "names of files; * and ? stand for anything")
    types: Patterns = option(list_of(_type_pattern, Patterns), [], "types of parts; * and ? stand for anything")


async def reject_attachment(tx: Transaction, ctx: Context, options: AttachmentOptions) -> Verdict:
    """Reject a message with an attachment of one of these names or types, 550 5.7.1.

    Postfix: usually done with mime_header_checks.
    """
    walker = await find_parts(tx.message)
    for part in walker.parts:
        for number, name in enumerate(part.names):
            if number % _AT_ONCE == 0:  # a part may have thousands of names
                await asyncio.sleep(0)
            if options.names.match(name):
                return _refusal("name", name, len(walker.parts))
        for kind in part.types:
            if options.types.match(kind):
                return _refusal("type", kind, len(walker.parts))
    if walker.too_complex:
        text = "Message content rejected: it has too many parts, or too deep in each other, to be looked through"
        return reject(Reply(550, "7.1", text), {"parts": len(walker.parts)})
    return dunno({"parts": len(walker.parts)})


def _refusal(what: str, text: str, parts: int) -> Verdict:
    shown = text if len(text) <= _LONGEST_SHOWN else "…" + text[-_LONGEST_SHOWN:]
    reply = Reply(550, "7.1", f"Message content rejected: attachments of {what} {shown} are not accepted")
    return reject(reply, {what: shown.encode("ascii", "backslashreplace").decode("ascii"), "parts": parts})
