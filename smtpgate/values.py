"""Values as an administrator writes them: durations, sizes, networks, host names.

Every parser takes what stood in the configuration and returns the typed value, or raises ValueError whose text
says what was expected. It is shared by the settings and by the options of checks.
"""

import ipaddress
import os
import pwd
import re
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import idna

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Parser = Callable[[Any], Any]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_UNITS = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
_LONGEST_DURATION = 36500 * 86400.0  # beyond it, dates overflow
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}+(?<!-)"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")


def duration(value: Any) -> float:
    """A duration such as "5m", in seconds."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d|w)", value) if isinstance(value, str) else None
    seconds = float(match[1]) * _DURATION_UNITS[match[2]] if match else -1.0
    if not 0 <= seconds <= _LONGEST_DURATION:
        raise ValueError('a duration such as "30s", "5m", "2h" or "35d"')
    return seconds


def size(value: Any) -> int:
    """A size such as "25MiB", in bytes."""
    match = re.fullmatch(r"([0-9]{1,12})(B|kB|KiB|MB|MiB|GB|GiB)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a size such as "512KiB" or "25MiB"')
    return int(match[1]) * _SIZE_UNITS[match[2]]


def network(value: Any) -> Network:
    """An IPv4 or IPv6 network in CIDR form; a bare address is a network of one."""
    try:
        if not isinstance(value, str):
            raise TypeError
        return ipaddress.ip_network(value)
    except (TypeError, ValueError):
        raise ValueError('a network such as "192.0.2.0/24" or "2001:db8::/32", without host bits') from None


def unmapped(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for (::ffff:192.0.2.1), or else the address itself.

    A listener on [::] sees IPv4 clients like that; rules and lists mean the IPv4 address.
    """
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


def is_in(address: IPAddress, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds the address."""
    for network in networks:  # noqa: SIM110 - any() would make a generator for each of many calls
        if address in network:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a port. host: the address in its usual form, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(value: Any) -> Endpoint:
    """An IP address with a port: "127.0.0.1:25", "[::1]:25"."""
    match = re.fullmatch(r"(?:\[([^\]]*:[^\]]*)\]|([0-9.]+)):([0-9]{1,5})", value) if isinstance(value, str) else None
    if match is None or (host := _ip(match[1] or match[2])) is None:
        raise ValueError('an IP address and a port such as "127.0.0.1:2525" or "[::1]:2525"')
    port = int(match[3])
    if not 1 <= port <= 65535:
        raise ValueError("a port from 1 to 65535")
    return Endpoint(host, port)


def nameserver(value: Any) -> Endpoint:
    """A DNS server: an IP address, with a port unless it is 53."""
    if isinstance(value, str) and (host := _ip(value)) is not None:
        return Endpoint(host, 53)
    try:
        return endpoint(value)
    except ValueError:
        raise ValueError('an IP address such as "192.0.2.53", or one with a port, "127.0.0.1:5353"') from None


def ip_address(value: Any) -> IPAddress:
    """An IP address."""
    try:
        if not isinstance(value, str):
            raise TypeError
        return ipaddress.ip_address(value)
    except (TypeError, ValueError):
        raise ValueError('an IP address such as "192.0.2.1" or "2001:db8::1"') from None


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def host_name(value: Any) -> str:
    """A host or domain name, lower case, without the final dot."""
    name = value.removesuffix(".").lower() if isinstance(value, str) else ""
    if not is_host_name(name):
        raise ValueError('a host or domain name such as "mx.example.org"')
    return name


def domain(value: Any) -> str:
    """A mail domain as lower-case A-labels; labels in other scripts are converted (RFC 5891)."""
    if isinstance(value, str) and not value.isascii():
        try:
            value = idna.encode(value, uts46=True).decode()
        except UnicodeError:
            pass  # what is left is not ASCII, so it is no host name
    try:
        return host_name(value)
    except ValueError:
        raise ValueError('a mail domain such as "example.org"') from None


def mailbox(value: Any) -> str:
    """A mailbox "user@example.org", or "@example.org" for all of a domain: lower case, the domain as A-labels."""
    try:
        local, at, of = value.rpartition("@")
        if not at or not local.isprintable() or " " in local:
            raise ValueError
        return f"{local.lower()}@{domain(of)}"
    except (AttributeError, ValueError):
        raise ValueError('a mailbox such as "user@example.org", or "@example.org" for all of a domain') from None


def server_name(value: Any) -> str:
    """The name that a server gives itself; "" for the system's own name."""
    name = system_name() if value == "" else host_name(value)
    if _ip(name):  # RFC 5321 §4.2: the greeting names a domain
        raise ValueError('the name of this host such as "mx.example.org", not its address')
    return name


def system_name() -> str:
    """The system's name as the kernel has it, never looked up; "localhost" if it is no host name."""
    name = socket.gethostname().lower()
    return name if is_host_name(name) else "localhost"


def is_host_name(name: str) -> bool:
    """Whether every label of an ASCII name has a legal length and legal characters (RFC 1123 §2.1, and "_")."""
    return _HOST_NAME.match(name) is not None


def is_fqdn(name: str) -> bool:
    """Whether an ASCII name is a fully qualified host name: a dot inside, and not digits and dots alone.

    RFC 1123 §2.1: a name never looks like 192.0.2.1, because its top-level label is alphabetic.
    """
    return "." in name and is_host_name(name) and not name.replace(".", "").isdigit()


def boolean(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def directory(value: Any) -> str:
    """A path to a directory, there or not."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError('a path to a directory, such as "var/spool"')
    return value


def text(value: Any) -> str:
    """Any text, such as a path."""
    if not isinstance(value, str):
        raise ValueError('a text such as "…"')
    return value


def count(value: Any) -> int:
    """A whole number above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number above zero")
    return value


def limit(value: Any) -> int:
    """A whole number; 0 for no limit."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a whole number, 0 for no limit")
    return value


def points(value: Any) -> int:
    """What is added to the score; below zero it is taken away."""
    if not isinstance(value, int) or isinstance(value, bool) or not -1000 <= value <= 1000:
        raise ValueError("a whole number of points, from -1000 to 1000")
    return value


def prefix_length(longest: int) -> Parser:
    """A parser for the length of a network prefix, 1 to `longest` bits."""

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= longest:
            raise ValueError(f"a prefix length from 1 to {longest}")
        return value

    return parse


def worker_count(value: Any) -> int:
    """A number of processes; 0 for one per core."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise ValueError("a whole number up to 1000, 0 for one per core")
    return value


def system_user(value: Any) -> str:
    """The name of a user of this system; "" for none."""
    if value != "":
        try:
            pwd.getpwnam(value)
        except (KeyError, TypeError, ValueError):
            raise ValueError("the name of a user of this system") from None
    return str(value)


def this_user() -> str:
    """Who runs this program, for messages: "user NAME"."""
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user {os.geteuid()}"


def socket_path(value: Any) -> str:
    """The path of a Unix socket."""
    # unix(7): sun_path has 108 octets with the final NUL.
    if not isinstance(value, str) or not 0 < len(os.fsencode(value)) < 108 or "\0" in value:
        raise ValueError('a path of at most 107 octets, such as "var/smtpgate.sock"')
    return value


class NotOneOf(ValueError):
    """A word that is none of the right ones."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__("one of " + ", ".join(f'"{word}"' for word in words))
        self.words = words


def choice(*words: str) -> Callable[[Any], str]:
    """A parser that takes one of the given words."""

    def parse(value: Any) -> str:
        if value not in words:
            raise NotOneOf(words)
        return str(value)

    return parse


class ElementErrors(ValueError):
    """What is wrong with the elements of a list. errors: index and what was expected."""

    def __init__(self, errors: list[tuple[int, ValueError]]) -> None:
        super().__init__(str(errors[0][1]))
        self.errors = errors


def list_of(parse: Parser, into: Callable[[list[Any]], Collection[Any]] = tuple) -> Parser:
    """A parser of lists whose elements `parse` takes; the values are collected by `into`."""

    def parse_list(values: Any) -> Collection[Any]:
        if not isinstance(values, (list, tuple)):
            raise ValueError('a list such as ["…", "…"]')
        parsed, errors = [], []
        for index, value in enumerate(values):
            try:
                parsed.append(parse(value))
            except ValueError as error:
                errors.append((index, error))
        if errors:
            raise ElementErrors(errors)
        return into(parsed)

    return parse_list


def above_zero(parse: Callable[[Any], float]) -> Parser:
    """A parser that takes what `parse` takes, except nothing: a time-out of 0 s, a limit of 0 B."""

    def parse_above_zero(value: Any) -> float:
        amount = parse(value)
        if amount <= 0:
            raise ValueError("more than zero")
        return amount

    return parse_above_zero


def store_url(value: Any) -> str:
    """Where the store is: a URL of a database that we know."""
    if isinstance(value, str) and value.startswith("postgres"):
        raise ValueError('"sqlite:///var/smtpgate.db"; PostgreSQL comes in a later version')
    if not isinstance(value, str) or not re.fullmatch(r"sqlite:///[^:?#\x00-\x1f][^?#\x00-\x1f]*", value):
        raise ValueError('a path to a file, such as "sqlite:///var/smtpgate.db"')
    return value


def is_address(text: str) -> bool:
    """Whether it is an IP address, without brackets."""
    return _ip(text) is not None
