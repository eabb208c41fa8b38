"""Files that may be opened set a bound to sessions."""

import logging
import resource

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.dns.stub import StubResolver
from smtpgate.dns.udp import MOST_SOCKETS
from smtpgate.server.descriptors import (
    FileNews,
    is_short_of_files,
    other_files,
    raise_descriptor_limit,
    sessions_within,
)
from smtpgate.values import Endpoint
from tests.fakes import Clock


@pytest.mark.parametrize(
    ("limit", "wanted", "sessions"),
    [(524288, 5000, 5000), (15200, 5000, 5000), (15198, 5000, 4999), (1024, 5000, 274), (64, 5000, 1), (3, 5000, 1)],
)
def test_sessions_within(limit: int, wanted: int, sessions: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sessions_within(limit, 200, wanted) == sessions
    assert bool(caplog.messages) is (sessions < wanted)


def test_the_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    try:
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


CONFIG = """
[server]
hostname = "mx.example.org"
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = ["smtp://127.0.0.1:25", "smtp://127.0.0.2:25"]
{more}
[phases]
rcpt = ["reject_unauth_destination"{rules}]
"""
SERVICE = ', "check_policy_service unix:/s"'


@pytest.mark.parametrize(
    ("rules", "more", "files"),
    [
        ("", "", 0),
        (SERVICE, "", 100),
        (2 * SERVICE, "", 100),  # they share their connections
        (SERVICE + ', { rule = "check_policy_service unix:/s", timeout = "1s" }', "", 200),
        (
            ', { rule = "check_sender_access", table = { "a.example" = "ask" } }',
            f"[classes]\nask = [{SERVICE[2:]}]",
            100,
        ),
        ("", '[[route]]\ndomains = ["a.example"]\nurl = "smtp://127.0.0.3:25"', 64),
        ("", "[verification]\ncallouts = 25", 5),
    ],
)
def test_what_else_may_be_open(rules: str, more: str, files: int) -> None:
    usual = 64 + 1 + 7 + 20 + 2 * 64
    settings = load(CONFIG.format(rules=rules, more=more), REGISTRY)
    assert other_files(settings, 7) == usual + files


async def test_each_name_server_has_sockets_of_its_own() -> None:
    one, two = (StubResolver([Endpoint("127.0.0.1", 53), Endpoint("::1", 53)][:count], 5.0) for count in (1, 2))
    assert two.most_sockets - one.most_sockets == MOST_SOCKETS
    for stub in (one, two):
        stub.close()


def test_whether_files_are_left() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert not is_short_of_files()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        found = is_short_of_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found


def test_a_line_when_files_run_out_and_one_when_there_are_some_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    news = FileNews(clock)
    for is_short in (False, True, True, False, True, False):
        news.hear(is_short)
        clock.advance(1)
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "no more files can be opened",
        "files can be opened again",
    ]
    clock.advance(600)
    news.hear(True)
    assert len(caplog.messages) == 3
