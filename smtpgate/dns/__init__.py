"""Asking the DNS: one protocol, typed answers."""
