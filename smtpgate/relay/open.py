"""The one place that knows every kind of downstream."""

import dataclasses
from collections.abc import Sequence

from smtpgate.relay.failover import FailoverDownstream, Server
from smtpgate.relay.maildir import MaildirDownstream
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.security import Security
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import DownstreamUrl
from smtpgate.relay.xforward import Forwarding


def open_downstream(
    urls: Sequence[DownstreamUrl],
    *,
    hostname: str,
    limits: PoolLimits,
    security: Security,
    xforward: bool = True,
    xclient: bool = False,
) -> FailoverDownstream:
    """The downstream that one URL names, or several in the order of preference; nothing is connected yet.

    hostname: what we say in EHLO. security: for those behind a network; smtps:// is always TLS.
    xforward, xclient: whether they are told who the client is, if they offer it.
    """
    forwarding = Forwarding(hostname, xforward=xforward, xclient=xclient)
    return FailoverDownstream([(str(url), _server(url, hostname, limits, security, forwarding)) for url in urls])


def _server(
    url: DownstreamUrl, hostname: str, limits: PoolLimits, security: Security, forwarding: Forwarding
) -> Server:
    if url.scheme == "maildir":
        return MaildirDownstream(url.path)
    if url.scheme == "smtps":
        security = dataclasses.replace(security, tls="implicit")
    elif url.path:
        security = dataclasses.replace(security, tls="none")
    return SmtpDownstream(url, hostname=hostname, limits=limits, security=security, forwarding=forwarding)
