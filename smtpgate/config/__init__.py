"""TOML to typed settings; every error at once."""
