"""docs/adding-a-check.md, followed to the letter: its code is run, its row registered, its table asked."""

import dataclasses
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.phases.phase import Input
from smtpgate.phases.rule import CheckSpec
from smtpgate.phases.verdict import DUNNO, Verdict
from tests.checks import asking
from tests.checks.rules_page import problems, title

PAGE = (Path(__file__).parents[2] / "docs/adding-a-check.md").read_text()
NAME = "reject_forged_helo_hostname"
CODE = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
(RULE_PAGE,) = re.findall(r"^````markdown\n(.*?)^````", PAGE, re.MULTILINE | re.DOTALL)


def run(path: str) -> dict[str, Any]:
    """What the code of one step defines."""
    module = types.ModuleType(path)
    exec(compile(CODE[path], path, "exec", dont_inherit=True), vars(module))
    return vars(module)


@pytest.fixture
def spec() -> CheckSpec:
    """The row of step 2, with the function of step 1."""
    names = {"CheckSpec": CheckSpec, "Input": Input, "helo": types.SimpleNamespace(**run("smtpgate/checks/helo.py"))}
    row = eval(CODE["smtpgate/checks/registry.py"].strip(), names)
    assert isinstance(row, CheckSpec)
    return row


def table() -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Every case of the test table of step 3."""
    test = run("tests/checks/test_helo.py")[f"test_{NAME}"]
    (mark,) = test.pytestmark
    return [(test, case) for case in mark.args[1]]


@pytest.mark.parametrize(("test", "case"), table())
async def test_its_table_passes(
    test: Callable[..., Any], case: tuple[Any, ...], spec: CheckSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "REGISTRY", {**REGISTRY, NAME: spec})
    await test(*case)


async def test_its_table_can_fail(spec: CheckSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_opinion(tx: object, ctx: object, options: object) -> Verdict:
        return DUNNO

    broken = CheckSpec(NAME, without_opinion, spec.input, spec.options)
    monkeypatch.setattr(asking, "REGISTRY", {**REGISTRY, NAME: broken})
    test, case = next((test, case) for test, case in table() if case[-1] != "dunno")
    with pytest.raises(AssertionError):
        await test(*case)


def test_its_page_agrees_with_its_row(spec: CheckSpec) -> None:
    assert title(RULE_PAGE) == NAME
    assert problems(RULE_PAGE, spec, {**REGISTRY, NAME: spec}) == []


def test_the_example_is_not_in_the_registry() -> None:
    assert NAME not in REGISTRY


def test_the_page_names_what_else_a_row_can_say() -> None:
    told = set(re.findall(r"^\| `(\w+)=", PAGE, re.MULTILINE))
    assert told == {field.name for field in dataclasses.fields(CheckSpec)} - {"name", "check", "input", "options"}
