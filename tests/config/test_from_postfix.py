"""docs/from-postfix.md: its config.toml loads, and asks what its main.cf asks, in that order."""

import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.settings import Settings
from smtpgate.phases.phase import Phase
from smtpgate.values import size

PAGE = (Path(__file__).parents[2] / "docs" / "from-postfix.md").read_text()
LISTS = {
    Phase.CLIENT: ["smtpd_client_restrictions"],
    Phase.HELO: ["smtpd_helo_restrictions"],
    Phase.MAIL: ["smtpd_sender_restrictions"],
    Phase.RCPT: ["smtpd_relay_restrictions", "smtpd_recipient_restrictions"],
    Phase.DATA: ["smtpd_data_restrictions"],
}


def block(language: str) -> str:
    [text] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def main_cf() -> dict[str, str]:
    lines = re.sub(r"\n[ \t]+", " ", block("cf")).splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines if line)}


def settings(etc: Path) -> Settings:
    """With empty tables: what is in them is not this page's concern."""
    text = block("toml")
    for path in set(re.findall(r"(?:hash|pcre|cidr):/etc/postfix/([\w.]+)", text)):
        (etc / path).write_text("")
    return load(text.replace("/etc/postfix", str(etc)), REGISTRY)


@pytest.mark.parametrize("phase", LISTS, ids=lambda phase: phase.key)
def test_both_ask_the_same(phase: Phase, tmp_path: Path) -> None:
    found = settings(tmp_path)
    there = [rule for name in LISTS[phase] for rule in re.split(r",\s*", main_cf()[name])]
    here = [("warn_if_reject " if rule.warns else "") + rule.text for rule in found.phases[phase]]
    assert [rule.replace(str(tmp_path), "/etc/postfix") for rule in here] == there


def test_both_have_the_same_settings(tmp_path: Path) -> None:
    found, there = settings(tmp_path), main_cf()
    assert found.warnings == ()
    assert found.server.hostname == there["myhostname"]
    assert set(found.server.relay_domains) == set(re.split(r",\s*", there["relay_domains"]))
    assert [str(network) for network in found.server.mynetworks] == [
        network.replace("[", "").replace("]", "") for network in there["mynetworks"].split()
    ]
    assert found.limits.message_size == int(there["message_size_limit"]) == size("50MiB")
    assert found.tls.certificate == there["smtpd_tls_cert_file"]
    assert [rule.text for rule in found.phases[Phase.END_OF_DATA]] == [
        "header_checks " + there["header_checks"].replace("/etc/postfix", str(tmp_path))
    ]


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert (Path(__file__).parents[2] / "docs" / target).exists(), target
