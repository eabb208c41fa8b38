"""What holds for all tests of the relay."""

import pytest


@pytest.fixture(autouse=True)
def _resets_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stands still for a moment, too, a reset is answered in time."""
    monkeypatch.setattr("smtpgate.relay.smtp._RSET_TIMEOUT", 60.0)
