"""What holds for all tests."""

from hypothesis import settings

# The same examples in every run, and no verdict about a machine's speed.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
