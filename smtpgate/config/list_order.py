"""What a list of rules must not be, whatever each rule is: out of order, or an open relay."""

from collections.abc import Mapping, Sequence
from typing import Any

from smtpgate.config.document import Document
from smtpgate.config.errors import nearest
from smtpgate.config.lines import Path
from smtpgate.config.placed import Placed
from smtpgate.phases.rule import CheckSpec


def check_order(document: Document, rules: Sequence[Placed]) -> None:
    """Refuse rules behind one that always ends the list, and those that stand there twice."""
    end: Placed | None = None
    seen: dict[str, Placed] = {}
    for placed in rules:
        text = placed.rule.text
        if end is not None:
            problem = f"{text} is never reached: {end.rule.text} in line {end.line} always ends this list"
            document.error(placed.path, problem)
        elif text in seen and seen[text].rule.check is placed.rule.check and placed.path[0] != "classes":
            document.error(placed.path, f"{text} stands in line {seen[text].line} already")
        elif placed.rule.spec.terminal and not placed.rule.shadow:
            end = placed
        seen.setdefault(text, placed)


def check_guard(document: Document, path: Path, rules: Sequence[Placed], registry: Mapping[str, CheckSpec]) -> None:
    """Refuse a list that would accept mail from strangers to strangers.

    A guard must be reached and enforced, and a failure inside it must not let mail through; nor may a failure of
    a rule before it end the list (PERMIT would).
    """
    asleep = ""
    for placed in rules:
        rule = placed.rule
        if rule.spec.guard and (rule.shadow or rule.on_error != "defer"):
            why = "is in shadow mode" if rule.shadow else f'has on_error = "{rule.on_error}"'
            asleep = asleep or f"; {rule.text} in line {placed.line} {why} and guards nothing"
        elif rule.warns and registry[rule.spec.name].guard:
            asleep = asleep or f"; {rule.text} in line {placed.line} only warns and guards nothing"
        elif rule.shadow:
            continue
        elif rule.spec.guard:
            return
        elif rule.spec.score == "gives" and registry[rule.spec.name].guard:
            asleep = asleep or f"; {rule.text} in line {placed.line} gives points and guards nothing"
        elif rule.spec.terminal:
            asleep = asleep or f"; {rule.text} in line {placed.line} lets everything in before any guard"
            break
        elif rule.on_error == "permit":
            problem = (
                f'{rule.text} has on_error = "permit" before the relay guard, so its failure would let any mail in'
            )
            document.error(placed.path, problem, hint='use "skip", or put it behind the guard')
    document.error(
        path, f"this list would make an open relay{asleep}", hint='it needs "reject_unauth_destination", enforced'
    )


def means_guard(item: Any, registry: Mapping[str, CheckSpec]) -> bool:
    """Whether what could not be read probably was to be, or to hold, a relay guard: one error is enough then."""
    text = item.get("rule") if isinstance(item, dict) else item
    guards = [name for name, spec in registry.items() if spec.guard]
    return isinstance(text, str) and any(nearest(word.strip(","), guards) for word in text.split())
