"""One file per family of checks; registry.py is the one table that names them all."""
