"""Passing mail on to the downstream."""
