"""The README's configuration is one that loads, and the commands that it names exist."""

import re
from pathlib import Path

from smtpgate.checks.registry import REGISTRY
from smtpgate.cli import parser
from smtpgate.config.load import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_its_configuration_loads() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    settings = load(text, REGISTRY)
    assert settings.warnings == ()


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_its_commands_exist() -> None:
    for words in set(re.findall(r"`smtpgate (\w+(?: check| show| upgrade)?)", README)):
        example = {"why": ["X"], "dnsbl check": ["192.0.2.1"], "table": ["NAME", "list"], "quarantine": ["list"]}.get(
            words, []
        )
        assert parser().parse_args([*words.split(), *example])
