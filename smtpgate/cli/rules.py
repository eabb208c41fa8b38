"""`smtpgate rules` and `smtpgate rules NAME`: the pages of docs/checks on the terminal."""

import argparse
import re
import sys
from pathlib import Path

import smtpgate
from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import nearest
from smtpgate.config.postfix import ALIASES, GONE, NOT_HERE
from smtpgate.phases.phase import FIRST_PHASE

_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_SENTENCE = re.compile(r".+?[.?!](?= |$)")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("rules", help="list all rules, or tell all about one")
    parser.add_argument("name", metavar="NAME", nargs="?", help="a rule's name, or one that Postfix had for it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, or one page; status 1 if there is no such rule."""
    if args.name is None:
        print(overview(), end="")
        return 0
    name = ALIASES.get(args.name, args.name)
    if name not in REGISTRY:
        print(f"smtpgate: {_why_not(name)}", file=sys.stderr)
        return 1
    print(_page(name), end="")
    return 0


def overview() -> str:
    """One line for each rule: its name, the first phase for it, and what it asks."""
    width = max(map(len, REGISTRY))
    rows = sorted(REGISTRY.values(), key=lambda spec: (FIRST_PHASE[spec.input], spec.name))
    return "".join(f"{spec.name:{width}}  {FIRST_PHASE[spec.input].key:11}  {_asks(spec.name)}\n" for spec in rows)


def _asks(name: str) -> str:
    """The first sentence of a rule's page."""
    text = _LINK.sub(r"\1", _page(name).split("\n\n")[1].replace("\n", " "))
    sentence = _SENTENCE.match(text)
    return sentence[0] if sentence else text


def _why_not(name: str) -> str:
    if name == "warn_if_reject":
        return 'warn_if_reject is a mode: write it before a rule, or mode = "warn" into its table'
    if name in GONE:
        return f"{name} is no longer Postfix's either; write {GONE[name]}"
    if name in NOT_HERE:
        return f"{name} cannot be here: {NOT_HERE[name]}"
    hint = nearest(name, [*REGISTRY, *ALIASES])
    return f'there is no rule "{name}"' + (f": {hint}" if hint else "; `smtpgate rules` lists all")


def _page(name: str) -> str:
    return (_pages() / f"{name}.md").read_text(encoding="utf-8")


def _pages() -> Path:
    """The pages: inside the package when it was installed from a wheel, beside it in the source tree."""
    package = Path(smtpgate.__file__).parent
    installed = package / "docs" / "checks"
    return installed if installed.is_dir() else package.parent / "docs" / "checks"
