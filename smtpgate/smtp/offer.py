"""What EHLO offers: what this server does, and what the one behind it must do too."""

from functools import lru_cache

# Without the downstream they would be empty promises.
_NEEDS_DOWNSTREAM = frozenset({"8BITMIME", "DSN", "SMTPUTF8"})
# Until it is known what it offers: a message that it cannot take is still refused with the right code, but a
# notification that was asked for and never sent is found out by nobody.
_MEANWHILE = frozenset({"8BITMIME", "SMTPUTF8"})


def relayed_extensions(downstream: frozenset[str] | None) -> frozenset[str]:
    """Those extensions that depend on the downstream. downstream: what it offers, None if that is not known yet."""
    return _MEANWHILE if downstream is None else downstream & _NEEDS_DOWNSTREAM


@lru_cache(maxsize=64)  # in plaintext and in TLS, for peers and for others, as the downstream changes
def greeting(
    hostname: str, relayed: frozenset[str], session: tuple[str, ...], *, message_size: int, recipients: int
) -> bytes:
    """EHLO's reply, the keywords in Postfix's order. session: those that TLS and the peer decide."""
    lines = [
        hostname,
        "PIPELINING",
        f"SIZE {message_size}",
        *session,
        "ENHANCEDSTATUSCODES",
        *sorted(relayed),
        "CHUNKING",
        f"LIMITS RCPTMAX={recipients}",  # RFC 9422
    ]
    return ("".join(f"250-{line}\r\n" for line in lines) + "250 HELP\r\n").encode()
