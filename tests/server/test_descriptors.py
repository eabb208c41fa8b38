"""Files that may be opened set a bound to sessions."""

import logging
import resource

import pytest

from smtpgate.server.descriptors import raise_descriptor_limit, sessions_within


@pytest.mark.parametrize(
    ("limit", "wanted", "sessions"),
    [(524288, 5000, 5000), (15064, 5000, 5000), (15062, 5000, 4999), (1024, 5000, 320), (64, 5000, 1), (3, 5000, 1)],
)
def test_sessions_within(limit: int, wanted: int, sessions: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sessions_within(limit, wanted) == sessions
    assert bool(caplog.messages) is (sessions < wanted)


def test_the_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    try:
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
