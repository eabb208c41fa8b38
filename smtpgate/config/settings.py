"""The settings, and the tables of options that they are read from.

Each section of the configuration is one dataclass, each option one line of it: its parser, its default as the
administrator would write it, and its description. The loader, `smtpgate config show` and the reference in
docs/configuration.md all come from these lines.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from smtpgate.config.relay import RelaySettings, RouteSettings
from smtpgate.phases.access_table import AccessTable
from smtpgate.phases.phase import Phase
from smtpgate.phases.policy import Policy
from smtpgate.phases.rule import Rule, option
from smtpgate.tables.mailboxes import mailboxes
from smtpgate.values import (
    Endpoint,
    Network,
    above_zero,
    boolean,
    choice,
    count,
    directory,
    domain,
    duration,
    endpoint,
    limit,
    list_of,
    nameserver,
    network,
    prefix_length,
    server_name,
    size,
    socket_path,
    store_url,
    system_user,
    text,
    worker_count,
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What holds for every listener."""

    hostname: str = option(server_name, "", 'name in the banner and in header fields; "" is the system\'s name')
    mynetworks: tuple[Network, ...] = option(list_of(network), [], "clients in these networks may send anywhere")
    relay_domains: frozenset[str] = option(list_of(domain, frozenset), [], "domains that mail is accepted for")
    recipients: frozenset[str] = option(
        mailboxes, [], "who exists in relay_domains, or files that tell; [] leaves it to the downstream"
    )
    spool: str = option(directory, "var/spool", "directory for what is too large to be kept in memory")
    quarantine: str = option(directory, "var/quarantine", "directory for messages that rules hold")
    quarantine_size: int = option(above_zero(size), "1GiB", "what held messages may take; then 452 4.3.1")
    quarantine_keep: float = option(above_zero(duration), "90d", "how long a message is held; then it is deleted")
    delay_reject: bool = option(
        boolean, True, "answer the client, helo and mail lists at RCPT, so that the record is whole"
    )
    recipient_delimiter: str = option(text, "", 'characters that an address\'s extension may begin with, such as "+"')
    parent_domain_matches_subdomains: bool = option(
        boolean, True, 'in access tables, "example.org" holds for its subdomains; if not, ".example.org" does'
    )
    bare_newline: str = option(
        choice("reject", "normalize"), "reject", "messages with bare LF or CR: refused, or their lines ended properly"
    )
    xclient_peers: tuple[Network, ...] = option(
        list_of(network), [], "servers in these networks may speak for their clients (XCLIENT)"
    )
    xforward_peers: tuple[Network, ...] = option(
        list_of(network), [], "servers in these networks may say for the record whom mail came from (XFORWARD)"
    )
    long_lines: str = option(choice("pass", "reject"), "pass", "messages with lines of more than 998 octets")
    workers: int = option(worker_count, 0, "worker processes; 0 is one per core")
    user: str = option(system_user, "", 'who serves when root has started it; "" changes nothing')
    control: str = option(socket_path, "var/smtpgate.sock", "Unix socket of `smtpgate status` and `smtpgate reload`")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One address that is listened on."""

    address: Endpoint = option(endpoint, MISSING, "IP address and port")
    tls: Literal["none", "starttls", "implicit"] = option(
        choice("none", "starttls", "implicit"), "none", '"starttls": when the client asks; "implicit": at once'
    )
    client_certificates: Literal["none", "ask", "require"] = option(
        choice("none", "ask", "require"),
        "none",
        "whether clients are asked for theirs; all may stay, or verified ones only",
    )
    proxy_protocol: tuple[Network, ...] = option(
        list_of(network), [], "proxies, which alone may connect and must say who the client is"
    )

    @property
    def host(self) -> str:
        """The IP address."""
        return self.address.host

    @property
    def port(self) -> int:
        """The port."""
        return self.address.port


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What listeners with TLS use. Paths of files, which are read again when they change."""

    certificate: str = option(text, "", "file with the certificate, and those that sign it, in PEM")
    key: str = option(text, "", "file with its private key, in PEM, without a password")
    minimum: str = option(choice("1.2", "1.3"), "1.2", "oldest version of TLS")
    client_ca: str = option(text, "", "file with the certificates, in PEM, of those who may sign clients' certificates")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one client, and all together, may take. Sizes in bytes, times in seconds."""

    message_size: int = option(above_zero(size), "25MiB", "largest message")
    message_memory: int = option(above_zero(size), "128MiB", "for all messages that one worker is receiving")
    memory_per_message: int = option(above_zero(size), "2MiB", "of that, for one message; more goes to `spool`")
    recipients: int = option(count, 1000, "most recipients of one message")
    sessions: int = option(count, 5000, "most sessions of one worker at one time")
    command_timeout: float = option(above_zero(duration), "5m", "how long a silent client is waited for")
    session_timeout: float = option(
        above_zero(duration), "30m", "how long a session may go without delivering a message"
    )
    minimum_data_rate: int = option(
        above_zero(size), "1KiB", "what a message must bring a second, over command_timeout"
    )
    soft_error_limit: int = option(count, 10, "mistakes that are answered at once")
    hard_error_limit: int = option(count, 20, "mistakes without a message between them, then 421")
    error_delay: float = option(duration, "1s", "by how much each further mistake is answered later, up to ten times")
    junk_command_limit: int = option(count, 100, "NOOP, RSET and the like for one message; more are mistakes")
    greet_pause: float = option(duration, "0s", "how long new clients must wait for the banner; 0s is no pause")
    pregreet: str = option(choice("note", "drop"), "note", "what happens to a client that talks before the banner")
    client_connections: int = option(limit, 50, "most connections of one client network at one time; 0 is no limit")
    client_connection_rate: int = option(limit, 0, "most new connections of one client network a minute")
    client_message_rate: int = option(limit, 0, "most messages of one client network a minute")
    client_recipient_rate: int = option(limit, 0, "most recipients of one client network a minute")
    ipv4_prefix: int = option(prefix_length(32), 32, "how much of an IPv4 address makes a client network")
    ipv6_prefix: int = option(prefix_length(128), 64, "how much of an IPv6 address makes a client network")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The database."""

    url: str = option(store_url, "sqlite:///var/smtpgate.db", "the database")


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """The records that `smtpgate why` reads. Times in seconds."""

    keep: float = option(above_zero(duration), "30d", "how long records are kept")


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Where questions go. Times in seconds."""

    nameservers: tuple[Endpoint, ...] = option(list_of(nameserver), [], "DNS servers; [] is the system's")
    timeout: float = option(above_zero(duration), "5s", "how long one question may take, repetitions included")
    phase_timeout: float = option(
        above_zero(duration),
        "20s",
        "how long a client may wait for look-ups before one answer; then they count as failed",
    )
    session_timeout: float = option(above_zero(duration), "60s", "the same for all answers of a session together")


@dataclass(frozen=True, slots=True)
class VerificationSettings:
    """What reject_unverified_sender and reject_unverified_recipient ask and remember. Times in seconds."""

    positive_expire: float = option(above_zero(duration), "31d", "how long a deliverable address is remembered")
    positive_refresh: float = option(above_zero(duration), "7d", "after how long it is asked for anew, unnoticed")
    negative_expire: float = option(above_zero(duration), "3d", "how long an undeliverable address is remembered")
    negative_refresh: float = option(above_zero(duration), "3h", "after how long it is asked for anew, unnoticed")
    wait: float = option(
        above_zero(duration), "9s", "how long a client waits for an answer; later it helps the next one"
    )
    callouts: int = option(count, 20, "callouts that one worker makes at one time")
    callout_rate: int = option(count, 10, "callouts that one worker makes a minute to one domain, and to one server")
    private_servers: bool = option(boolean, False, "callouts to private and loopback addresses too")


SECTIONS: Mapping[str, type[Any]] = {
    "server": ServerSettings,
    "listener": ListenerSettings,
    "tls": TlsSettings,
    "limits": LimitSettings,
    "relay": RelaySettings,
    "route": RouteSettings,
    "store": StoreSettings,
    "record": RecordSettings,
    "dns": DnsSettings,
    "verification": VerificationSettings,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration.

    phases: the rules of every phase, in order. policies: for recipients who have rules of their own. tables: those
    that rules ask. warnings: what is legal but probably not meant, one sentence each. notes: what is only good to know.
    guards: what stops strangers from relaying; empty if it could not be shown that something does. effective: the
    configuration as written, with every default added.
    """

    server: ServerSettings
    listeners: tuple[ListenerSettings, ...]
    tls: TlsSettings
    limits: LimitSettings
    relay: RelaySettings
    routes: tuple[RouteSettings, ...]
    store: StoreSettings
    record: RecordSettings
    dns: DnsSettings
    verification: VerificationSettings
    phases: Mapping[Phase, tuple[Rule, ...]]
    policies: tuple[Policy, ...] = ()
    tables: tuple[AccessTable, ...] = field(default=(), compare=False)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    guards: tuple[str, ...] = field(default=(), compare=False)
    effective: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, those of policies too, each once."""
        lists = [self.phases, *(policy.lists for policy in self.policies)]
        return tuple(dict.fromkeys(rule for phases in lists for phase in Phase for rule in phases.get(phase, ())))

    @property
    def has_tls(self) -> bool:
        """Whether a listener speaks TLS."""
        return any(listener.tls != "none" for listener in self.listeners)

    @property
    def asks_for_certificates(self) -> bool:
        """Whether a listener asks clients for certificates."""
        return any(listener.client_certificates != "none" for listener in self.listeners)
