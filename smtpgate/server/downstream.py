"""From the settings to the downstream."""

from smtpgate.config.relay import RelaySettings
from smtpgate.config.settings import Settings
from smtpgate.relay.downstream import Downstream
from smtpgate.relay.open import open_downstream
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.routing import RoutingDownstream
from smtpgate.relay.security import Login, Security, tls_context


def configured_downstream(settings: Settings) -> Downstream:
    """What [relay] and the [[route]]s say; nothing is connected yet."""
    hostname = settings.server.hostname
    default = _open(settings.relay, hostname)
    routes: dict[str, Downstream] = {}
    for route in settings.routes:
        routes |= dict.fromkeys(route.domains, _open(route, hostname))
    return RoutingDownstream(default, routes) if routes else default


def _open(relay: RelaySettings, hostname: str) -> Downstream:
    password = relay.password_file
    security = Security(
        tls=relay.tls,
        context=tls_context(verify=relay.tls_verify, ca=relay.tls_ca) if relay.uses_tls else None,
        login=Login(relay.username, password.text) if password is not None else None,
    )
    limits = PoolLimits(connections=relay.connections, connect_timeout=relay.connect_timeout, timeout=relay.timeout)
    return open_downstream(
        relay.url,
        hostname=hostname,
        limits=limits,
        security=security,
        xforward=relay.xforward == "auto",
        xclient=relay.xclient,
    )
