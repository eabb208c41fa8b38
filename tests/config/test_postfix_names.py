"""What Postfix's main.cf has and this has too: warn_if_reject, names of old, parameters."""

import dataclasses
import re

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.postfix import ALIASES, GONE, NOT_HERE, PARAMETERS
from smtpgate.config.settings import SECTIONS
from smtpgate.config.toml import dump, inline
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import Rule

BASE = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:var/mail"
[phases]
rcpt = ["reject_unauth_destination", "sleep 1", {rule}]
"""


def read(rule: object) -> Rule:
    return load(BASE.replace("{rule}", inline(rule)), REGISTRY).phases[Phase.RCPT][2]


@pytest.mark.parametrize(
    "rule",
    [
        "warn_if_reject reject_rbl_client bl.example",
        "warn_if_reject  reject_rbl_client  bl.example",
        {"rule": "warn_if_reject reject_rbl_client", "zone": "bl.example"},
        {"rule": "reject_rbl_client bl.example", "mode": "warn"},
    ],
)
def test_warn_if_reject_is_a_mode(rule: object) -> None:
    read_rule = read(rule)
    assert read_rule.mode == "warn"
    assert read_rule.text == "reject_rbl_client bl.example"


@pytest.mark.parametrize(("old", "new"), ALIASES.items())
def test_names_of_old(old: str, new: str) -> None:
    rule = {"rule": old, **({"zone": "bl.example"} if new == "reject_rbl_client" else {})}
    assert read(rule).spec is REGISTRY[new]


def test_what_is_shown_has_the_names_of_today() -> None:
    shown = dump(load(BASE.replace("{rule}", '"warn_if_reject reject_unknown_client"'), REGISTRY).effective)
    assert '{ rule = "reject_unknown_client_hostname", code = 450, mode = "warn", ' in shown


def test_a_name_is_only_one_of_them() -> None:
    assert len({*REGISTRY, *ALIASES, *GONE, *NOT_HERE}) == sum(map(len, (REGISTRY, ALIASES, GONE, NOT_HERE)))
    assert set(ALIASES.values()) <= REGISTRY.keys()


@pytest.mark.parametrize("here", sorted({*PARAMETERS.values()}))
def test_parameters_of_main_cf_lead_to_options(here: str) -> None:
    [(option, section)] = re.findall(r"^(\w+) in \[+(\w+)\]+$", here)
    options = {name: {field.name for field in dataclasses.fields(of)} for name, of in SECTIONS.items()}
    assert option in (options | {"phases": {phase.key for phase in Phase}})[section]
