"""What EHLO offers: what this server does, and what the one behind it must do too."""

from collections.abc import Sequence

from smtpgate.smtp.limits import DialogLimits

# Without the downstream they would be empty promises.
_NEEDS_DOWNSTREAM = frozenset({"8BITMIME", "DSN", "SMTPUTF8"})
# Until it is known what it offers: a message that it cannot take is still refused with the right code, but a
# notification that was asked for and never sent is found out by nobody.
_MEANWHILE = frozenset({"8BITMIME", "SMTPUTF8"})


def relayed_extensions(downstream: frozenset[str] | None) -> frozenset[str]:
    """Those extensions that depend on the downstream. downstream: what it offers, None if that is not known yet."""
    return _MEANWHILE if downstream is None else downstream & _NEEDS_DOWNSTREAM


def keywords(limits: DialogLimits, relayed: frozenset[str], session: Sequence[str]) -> list[str]:
    """The lines of EHLO's reply behind the first, in Postfix's order. session: what TLS and the peer decide."""
    return [
        "PIPELINING",
        f"SIZE {limits.message_size}",
        *session,
        "ENHANCEDSTATUSCODES",
        *sorted(relayed),
        "CHUNKING",
        f"LIMITS RCPTMAX={limits.recipients}",  # RFC 9422
        "HELP",
    ]
