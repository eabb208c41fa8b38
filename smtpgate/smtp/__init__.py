"""The dialog: reading commands, replying, taking in DATA."""
