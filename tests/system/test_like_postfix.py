"""Several hundred generated sessions with smtpgate and with a real Postfix: every command is answered alike."""

import json
import re
import subprocess
import sys

import pytest

from tests.system.gate import ROOT, environment
from tests.system.program import require, require_root
from tests.system.twin import rules_of_postfix
from tests.system.twin_differences import DIFFERENCES, judge
from tests.system.twin_sessions import NOT_DRAWN, Session, draw_rule_lists, every_session

SEED, LISTS, SESSIONS = 1, 40, 12
# All that smtpgate is asked for has its own limits; this only ends what would hang.
_PLAYED_WITHIN = 90


@pytest.fixture(scope="module")
def played() -> list[tuple[Session, list[str], list[str]]]:
    """Every session, and what both answered."""
    for program, package in (("postfix", "postfix"), ("ip", "iproute2")):
        require(program, package)
    require_root("a network namespace")
    command = [sys.executable, "-m", "tests.system.twin"]
    command += ["--seed", str(SEED), "--lists", str(LISTS), "--sessions", str(SESSIONS)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=_PLAYED_WITHIN, check=False
    )
    assert done.returncode == 0, done.stderr
    sessions = {session.name: session for session in every_session(SEED, LISTS, SESSIONS, rules_of_postfix())}
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(sessions) > 400
    return [(sessions[answers["session"]], answers["ours"], answers["theirs"]) for answers in found]


def test_every_command_is_answered_as_by_postfix(played: list[tuple[Session, list[str], list[str]]]) -> None:
    unknown = []
    for session, ours, theirs in played:
        _, exchange = judge(session, ours, theirs)
        if exchange is not None:
            before = "".join(f"\n    {earlier}" for earlier in exchange.before)
            unknown.append(f"{session.client} under\n{session.rules.toml}{before}\n  ! {exchange}")
    assert not unknown, f"{len(unknown)} of {len(played)} sessions differ\n\n" + "\n\n".join(unknown[:10])


def test_the_differences_still_exist(played: list[tuple[Session, list[str], list[str]]]) -> None:
    seen = set().union(*(judge(*answers)[0] for answers in played))
    assert sorted(set(DIFFERENCES) - seen) == [], "met no more: take it out of the table and of docs/postfix.md"


def test_every_rule_that_both_know_is_drawn() -> None:
    known = rules_of_postfix()
    drawn = set()
    for rules in draw_rule_lists(SEED, LISTS, known):
        drawn |= {word for phase in rules.lists.values() for rule in phase for word in rule.split()}
    assert sorted(({"warn_if_reject"} | known) - set(NOT_DRAWN) - drawn) == [], "it may need a line in ARGUMENTS"


def test_the_differences_are_documented() -> None:
    page = (ROOT / "docs" / "postfix.md").read_text()
    section = page.partition("\n## Differences in behaviour\n")[2].partition("\n## ")[0]
    _head, _rule, *names = re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)
    assert names == list(DIFFERENCES)
