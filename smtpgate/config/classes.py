"""Restriction classes: lists of rules with a name, and the lists of names that stand in access tables."""

import re
from collections.abc import Callable, Container, Sequence
from typing import Any

from smtpgate.config.document import Document
from smtpgate.config.errors import nearest, quote
from smtpgate.config.lines import Path


class Classes:
    """The lists of [classes]. taken: names that rules have."""

    def __init__(self, document: Document, taken: Container[str] = ()) -> None:
        self._lists: dict[str, Any] = {}
        for name, rules in document.table("classes").items():
            if not isinstance(rules, list):
                document.error(("classes", name), f"{quote(rules)} is not a list", "a list of rules")
            if name in taken or name == "warn_if_reject":
                document.error(("classes", name), f"{name} is a rule", "a name that no rule has")
            else:
                self._lists[name] = rules

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [*self._lists]

    def expand(self, document: Document, path: Path, item: Any, within: tuple[str, ...] = ()) -> list[tuple[Path, Any]]:
        """A rule as it is, or those that its class stands for, each with its place in the file."""
        table = {"rule": item} if isinstance(item, str) else item
        words = table["rule"].split() if isinstance(table, dict) and isinstance(table.get("rule"), str) else []
        if words[:1] == ["warn_if_reject"]:  # Postfix's way to write the mode
            words, table = words[1:], {**table, "mode": "warn"}
        if len(words) != 1 or words[0] not in self._lists:
            return [(path, item)]
        name = words[0]
        if name in within:
            way = " → ".join((*within[within.index(name) :], name))
            document.error(path, f"the class {name} leads to itself: {way}")
            return []
        if table.keys() - {"rule", "mode"}:
            document.error(path, f"the class {name} takes mode, and no other option")
        rules = self._lists[name]
        return [
            found
            for index, rule in enumerate(rules if isinstance(rules, list) else [])
            for found in self.expand(
                document, ("classes", name, index), in_mode(rule, table.get("mode", "enforce")), (*within, name)
            )
        ]


def in_mode(rule: Any, mode: str) -> Any:
    """A rule of a class, in the mode that the class is given, unless its own does even less."""
    given = {"rule": rule} if isinstance(rule, str) else rule
    if mode == "enforce" or not isinstance(given, dict) or given.get("mode") == "shadow":
        return rule
    text = given.get("rule")
    bare = text.removeprefix("warn_if_reject ").lstrip() if isinstance(text, str) else text
    return {**given, "rule": bare, "mode": mode}


def split_names(text: str, arguments: Callable[[str], int | None], known: Sequence[str]) -> list[str]:
    """The rules in a table's result, each with its arguments (Postfix: separated by commas and blanks alike).

    arguments: how many a rule takes at most; None for what is no rule. known: what one may have
    meant. Raises ValueError.
    """
    rules: list[str] = []
    left = 0
    for word in re.split(r"[,\s]+", text.strip(", \t")):
        most = arguments(word)
        if most is not None and rules[-1:] != ["warn_if_reject"]:
            rules.append(word)
            left = most
        elif most is not None:
            rules[-1] += f" {word}"
            left = most
        elif left:
            rules[-1] += f" {word}"
            left -= 1
        else:
            hint = nearest(word, known)
            raise ValueError(f"{quote(word)} is neither an action nor a rule nor a class{hint and f': {hint}'}")
    return rules
