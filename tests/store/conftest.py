"""A store on SQLite, for all tests."""

import pytest

from smtpgate.store.migrate import upgrade
from smtpgate.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "var" / "smtpgate.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(path):
    store = SqliteStore(path, busy_timeout=60.0)  # nobody else is so slow
    yield store
    await store.close()
