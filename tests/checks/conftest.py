"""What holds for all tests of checks."""

import pytest

from smtpgate.checks import waiting


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client was kept waiting each time, in seconds; no test waits itself."""
    waits: list[float] = []

    async def idle(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(waiting, "idle", idle)
    return waits
