"""One worker process: listeners, wiring, signals."""
