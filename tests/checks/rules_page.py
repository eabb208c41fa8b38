"""Reads a rule's page as those in docs/checks are written, and says where it contradicts the registry."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping

from smtpgate.config.toml import inline
from smtpgate.phases.phase import FIRST_PHASE
from smtpgate.phases.rule import CheckSpec

FACTS = ("known from", "replies", "on failure", "Postfix")


def title(page: str) -> str:
    """The rule that a page is about."""
    return page.partition("\n")[0].removeprefix("# ")


def problems(text: str, spec: CheckSpec, registry: Mapping[str, CheckSpec]) -> list[str]:
    """What a page lacks or says wrongly."""
    facts = dict(re.findall(r"^\| ([\w ]+) \| (.+) \|$", text, re.MULTILINE))
    found = [f"no {fact!r}" for fact in FACTS if fact not in facts]
    if facts.get("known from") != FIRST_PHASE[spec.input].key:
        found.append(f"known from {FIRST_PHASE[spec.input].key}")
    if option_rows(text) != expected_rows(spec):
        found.append("options are:\n" + "\n".join(expected_rows(spec)))
    if spec.name not in (used := [name for name, _ in examples(text)]):
        found.append("no example")
    found += [f"unknown rule {name} in the example" for name in used if name not in registry]
    found += list(wrong_options(text, registry))
    return found


def option_rows(text: str) -> list[str]:
    return re.findall(r"^\| `.*\|$", text, re.MULTILINE)


def expected_rows(spec: CheckSpec) -> list[str]:
    rows = []
    for field in dataclasses.fields(spec.options) if spec.options else ():
        default = field.metadata["written_default"]
        written = "required" if default is dataclasses.MISSING else f"`{inline(default)}`"
        rows.append(f"| `{field.name}` | {written} | {field.metadata['help']} |")
    return rows


def examples(text: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Every rule of the examples: its name and its options."""
    for block in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for rules in tomllib.loads(block).values():
            for rule in rules:
                table = {"rule": rule} if isinstance(rule, str) else rule
                yield table["rule"].split()[0], {name: value for name, value in table.items() if name != "rule"}


def wrong_options(text: str, registry: Mapping[str, CheckSpec]) -> Iterator[str]:
    for name, given in examples(text):
        options = registry[name].options if name in registry else None
        known = {field.name: field.metadata["parse"] for field in dataclasses.fields(options)} if options else {}
        for option, value in given.items():
            if option in known:
                known[option](value)
            elif option not in ("mode", "on_error"):
                yield f"{name} has no option {option}"
