"""The commands: thin, wiring only."""
