"""The one place that knows every kind of downstream."""

from smtpgate.relay.downstream import Downstream
from smtpgate.relay.maildir import MaildirDownstream
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url


def open_downstream(url: str, *, hostname: str, connect_timeout: float, timeout: float) -> Downstream:
    """The downstream that a URL names; nothing is connected yet. Raises ValueError saying what was expected.

    hostname: what we say in EHLO. connect_timeout: seconds up to its answer. timeout: seconds for each later reply.
    """
    target = parse_url(url)
    if target.scheme == "maildir":
        return MaildirDownstream(target.path)
    limits = PoolLimits(connect_timeout=connect_timeout, timeout=timeout)
    return SmtpDownstream(target, hostname=hostname, limits=limits)
