"""What holds for all tests."""

import pytest
from hypothesis import settings

from tests.certificates import Certificate, issue

# The same examples in every run, and no verdict about a machine's speed.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for mx.example.org; not to be changed."""
    return issue(tmp_path_factory.mktemp("certificate"))
