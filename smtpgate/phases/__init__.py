"""Phases, facts, verdicts and the engine that evaluates rules. Knows no check."""
