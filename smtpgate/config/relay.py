"""The options of [relay] and [[route]], and what must be right about them together."""

import pathlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from smtpgate.config.document import Document
from smtpgate.config.errors import quote
from smtpgate.config.lines import Path
from smtpgate.phases.rule import option
from smtpgate.relay.security import tls_context
from smtpgate.relay.url import DownstreamUrl, parse_url
from smtpgate.values import Endpoint, above_zero, boolean, choice, count, domain, duration, list_of


@dataclass(frozen=True, slots=True)
class Secret:
    """A password, read when the configuration is. It shows itself nowhere."""

    text: str = field(repr=False)


def downstream_urls(value: Any) -> tuple[DownstreamUrl, ...]:
    """One URL of a downstream, or a list of them."""
    if not isinstance(value, list):
        return (parse_url(value),)
    urls: tuple[DownstreamUrl, ...] = list_of(parse_url)(value)
    if not urls:
        raise ValueError("one downstream or more")
    return urls


def password_file(value: Any) -> Secret | None:
    """The password that a file holds; "" for none."""
    if value == "":
        return None
    expected = "the path of a file that holds a password in its only line"
    try:
        text = pathlib.Path(value).read_text("utf-8").removesuffix("\n")
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{expected} ({_reason(error)})") from None
    if not text or not text.isprintable():
        raise ValueError(expected)
    return Secret(text)


def ca_file(value: Any) -> str:
    """A file of certificates that TLS takes; "" for the system's."""
    try:
        if not isinstance(value, str):
            raise TypeError
        if value:  # the system's are always there, and reading all of them takes long
            tls_context(ca=value)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"the path of a file of certificates in PEM ({_reason(error)})") from None
    return str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds none"
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else "it cannot be read"


def user_name(value: Any) -> str:
    """A name to log in with; "" for none."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("a name without control characters")
    return value


def route_domain(value: Any) -> str:
    """A mail domain, or all domains below it: ".example.org"."""
    if not isinstance(value, str):
        return domain(value)
    return f".{domain(value[1:])}" if value.startswith(".") else domain(value)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The way to the downstream. Times in seconds."""

    url: tuple[DownstreamUrl, ...] = option(
        downstream_urls,
        MISSING,
        "the downstream: smtp://, smtps://, lmtp://, lmtp+unix: or maildir:, or a list of them",
    )
    tls: Literal["none", "starttls", "implicit"] = option(
        choice("none", "starttls", "implicit"), "none", 'TLS to smtp:// and lmtp://; "starttls" is never done without'
    )
    tls_verify: bool = option(boolean, True, "whether the certificate must be good for the host in the URL")
    tls_ca: str = option(ca_file, "", 'a file of certificates to trust; "" is the system\'s')
    username: str = option(user_name, "", 'name to log in with; "" is without login')
    password_file: Secret | None = option(password_file, "", "a file with the password")
    xforward: Literal["auto", "off"] = option(
        choice("auto", "off"), "auto", "whether its logs are told who the client is (XFORWARD), if it offers that"
    )
    xclient: bool = option(boolean, False, "whether it treats the client as its own (XCLIENT), if it offers that")
    connections: int = option(count, 1000, "most connections of one worker to one server")
    connect_timeout: float = option(above_zero(duration), "10s", "how long a connection may take")
    timeout: float = option(above_zero(duration), "60s", "how long one command may take")

    @property
    def uses_tls(self) -> bool:
        """Whether any of its servers is spoken to in TLS."""
        return self.tls != "none" or any(url.scheme == "smtps" for url in self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings(RelaySettings):
    """Another way, for the mail of some domains."""

    domains: tuple[str, ...] = option(
        list_of(route_domain), MISSING, 'whose mail goes this way; ".example.org" is every domain below it'
    )


def check_relay(document: Document, path: Path, relay: RelaySettings, listeners: Iterable[Endpoint]) -> None:
    """Note what is wrong with [relay] or one [[route]]."""
    _check_urls(document, (*path, "url"), relay.url, [f"smtp://{listener}" for listener in listeners])
    if relay.tls == "starttls" and all(url.scheme == "smtps" for url in relay.url):
        document.error(
            (*path, "tls"), "smtps:// is TLS from its first byte", hint='write smtp:// with tls = "starttls"'
        )
    if bool(relay.username) != (relay.password_file is not None):
        missing, given = ("password_file", "username") if relay.username else ("username", "password_file")
        document.error((*path, given), f"{missing} is missing")
    if relay.username and relay.tls == "none":
        for url in relay.url:
            if url.scheme != "smtps" and not url.is_local:
                hint = 'tls = "starttls", tls = "implicit" or smtps://'
                document.error((*path, "username"), f"the password would go to {url} unencrypted", hint=hint)


def check_routes(document: Document, routes: Sequence[tuple[int, RouteSettings]]) -> None:
    """Note what is wrong with all routes together; each comes with its place in the file."""
    seen: set[str] = set()
    for place, route in routes:
        if not route.domains:
            document.error(("route", place, "domains"), "this route has no domain")
        for index, name in enumerate(route.domains):
            if name in seen:
                document.error(("route", place, "domains", index), f"{quote(name)} has a route already")
            seen.add(name)


def _check_urls(document: Document, path: Path, urls: Sequence[DownstreamUrl], listeners: Sequence[str]) -> None:
    for index, url in enumerate(urls):
        if url in urls[:index]:
            document.error((*path, index), f"{quote(str(url))} stands there already")
        if str(url) in listeners:
            document.error((*path, index), f"{quote(str(url))} is a listener of this server: mail would go in a circle")
