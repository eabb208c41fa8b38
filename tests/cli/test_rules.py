"""`smtpgate rules`, as the administrator runs it."""

from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.cli import main

PAGES = Path(__file__).parents[2] / "docs" / "checks"


def test_a_line_for_each_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(REGISTRY)
    width = max(map(len, REGISTRY))
    assert f"{'reject_rbl_client':{width}}  client       Is the client's address on a DNS block list?" in lines
    assert f"{'check_dkim':{width}}  end_of_data  Does one of the message's DKIM signatures hold (RFC 6376)?" in lines
    phases = [line.split()[1] for line in lines]
    assert phases == sorted(phases, key=["client", "helo", "mail", "rcpt", "data", "end_of_data"].index)
    for line in lines:
        assert "](" not in line
        assert len(line) < 170  # two lines of a terminal


@pytest.mark.parametrize("name", REGISTRY)
def test_a_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", name]) == 0
    assert capsys.readouterr().out == (PAGES / f"{name}.md").read_text()


def test_a_name_of_old(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "reject_unknown_client"]) == 0
    assert capsys.readouterr().out.startswith("# reject_unknown_client_hostname\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("reject_rbl_clinet", 'there is no rule "reject_rbl_clinet": did you mean "reject_rbl_client"?'),
        ("reject_maps_rbl", "reject_maps_rbl is no longer Postfix's either; write "),
        ("check_etrn_access", "check_etrn_access cannot be here: ETRN "),
        ("warn_if_reject", "warn_if_reject is a mode: "),
        ("xyzzy", 'there is no rule "xyzzy"; `smtpgate rules` lists all'),
        ("../rules", 'there is no rule "../rules"'),
        ("", 'there is no rule ""; '),
    ],
)
def test_a_name_that_is_none(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"smtpgate: {said}")
