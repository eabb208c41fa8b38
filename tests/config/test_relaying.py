"""The walk for strangers knows every rule that may permit."""

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.relaying import KNOWN


@pytest.mark.parametrize("name", [name for name in REGISTRY if name.startswith("permit")])
def test_each_permission_is_somebodys(name: str) -> None:
    """A new one lets strangers relay, as far as the walk knows, until somebody has thought about it."""
    spec = REGISTRY[name]
    assert (name in KNOWN) + spec.ours_only + (name in ("permit", "permit_mx_backup")) == 1


def test_those_who_are_known_exist() -> None:
    assert set(KNOWN) <= set(REGISTRY)
