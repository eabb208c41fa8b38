"""What a running server cannot change any more."""

from smtpgate.config.errors import quote
from smtpgate.config.settings import Settings


class RestartNeeded(Exception):
    """A new configuration cannot be taken by a reload; the text says why, a line for each option."""


def check_reload(old: Settings, new: Settings) -> None:
    """Raise RestartNeeded if a reload would leave something as it was, without a word."""
    # Who was root once is so no more, and everybody knows where the control socket is.
    changed = [
        f"[server] {name}: {quote(was)} became {quote(now)}, which takes a restart"
        for name in ("user", "control")
        if (was := getattr(old.server, name)) != (now := getattr(new.server, name))
    ]
    if changed:
        raise RestartNeeded("\n".join(changed))
