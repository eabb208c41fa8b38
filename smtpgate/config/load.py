"""From a configuration file to settings: all or nothing, with every error at once."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from smtpgate.config.document import Document, Field, written
from smtpgate.config.errors import ConfigError, ConfigErrors, quote
from smtpgate.config.lines import Path
from smtpgate.config.lint import Lint
from smtpgate.config.placed import Placed
from smtpgate.config.policies import ReadPolicy, read_policies
from smtpgate.config.postfix import right_name
from smtpgate.config.relay import RelaySettings, RouteSettings, check_relay, check_routes
from smtpgate.config.relaying import RelayWalk
from smtpgate.config.rules import RuleReader
from smtpgate.config.settings import (
    SECTIONS,
    DnsSettings,
    LimitSettings,
    ListenerSettings,
    RecordSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    TlsSettings,
    VerificationSettings,
)
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import CheckSpec
from smtpgate.values import Network, this_user

T = TypeVar("T")

_ANYBODY = "and anybody could pretend to be anybody"


def load_file(path: str, registry: Mapping[str, CheckSpec]) -> Settings:
    """The settings of a file. Raises ConfigErrors, for a file that cannot be read too."""
    return load(_read(path), registry, path)


def load_section(path: str, name: str) -> Any:
    """One section of a file, whatever is wrong with the others. Raises ConfigErrors."""
    document = Document(_read(path), path)
    settings = _section(document, name, SECTIONS[name])
    if settings is None or document.errors:
        raise ConfigErrors(document.errors)
    return settings


def _read(path: str) -> str:
    problem, hint, line = "", "", None
    try:
        content = pathlib.Path(path).read_bytes()
        return content.decode("utf-8-sig")  # editors on Windows write a mark before the text
    except FileNotFoundError:
        problem, hint = "there is no such file", "name it with --config PATH"
    except IsADirectoryError:
        problem, hint = "this is a directory", "name the file in it with --config PATH"
    except PermissionError:
        problem, hint = f"{this_user()} may not read it", "give this user the right, or run this as another"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem, hint = f"byte 0x{content[error.start]:02x} is not UTF-8", "save the file in UTF-8"
    except ValueError:
        problem = "it cannot be read: the name has a NUL in it"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    raise ConfigErrors([ConfigError(path, line, "", problem, hint=hint)])


def load(text: str, registry: Mapping[str, CheckSpec], file: str = "config.toml") -> Settings:
    """The settings that a TOML text says.

    registry: the checks that rules may name. file: how messages call the text. Raises ConfigErrors with all that is
    wrong, by line.
    """
    document = Document(text, file)
    _check_section_names(document)
    server = _section(document, "server", ServerSettings)
    tls = _section(document, "tls", TlsSettings)
    limits = _section(document, "limits", LimitSettings)
    relay = _section(document, "relay", RelaySettings)
    store = _section(document, "store", StoreSettings)
    record = _section(document, "record", RecordSettings)
    dns = _section(document, "dns", DnsSettings)
    verification = _section(document, "verification", VerificationSettings)
    listeners = _listeners(document)
    delay_reject = server.delay_reject if server else ServerSettings().delay_reject
    rules = RuleReader(document, registry, delay_reject=delay_reject)
    phases = rules.read(document.table("phases"))
    policies = read_policies(document, rules, delay_reject=delay_reject)
    rules.tables.check_unused()
    if server:
        _check_server(document, server)
    _check_tls(document)
    if limits:
        _check_limits(document, limits)
    routes = _routes(document, listeners)
    if relay:
        check_relay(document, ("relay",), relay, [listener.address for listener in listeners])
    if document.errors or not (server and tls and limits and relay and store and record and dns and verification):
        raise ConfigErrors(document.errors)
    lint = _lint(document, server, phases, policies)
    return Settings(
        server=server,
        listeners=tuple(listeners),
        tls=tls,
        limits=limits,
        relay=relay,
        routes=routes,
        store=store,
        record=record,
        dns=dns,
        verification=verification,
        phases={phase: tuple(placed.rule for placed in rules) for phase, rules in phases.items()},
        policies=tuple(policy.policy(phases) for policy in policies),
        tables=rules.tables.tables,
        warnings=tuple(map(str, (*_warnings(document, server), *lint.warnings, *rules.tables.warnings))),
        notes=tuple(map(str, lint.notes)),
        guards=lint.guards,
        effective=_effective(document, server, phases) | {"policy": [policy.effective for policy in policies]},
    )


def _check_section_names(document: Document) -> None:
    names = [*SECTIONS, "tables", "classes", "phases", "policy"]
    for name, value in document.data.items():
        if name in names:
            continue
        owner = next((section for section, options in SECTIONS.items() if name in _names(options)), None)
        if isinstance(value, dict) or owner is None:
            document.error((name,), "unknown section", hint=right_name(name, names))
        else:
            document.error((name,), "this option stands outside of its section", hint=f"put it under [{owner}]")


def _section(document: Document, name: str, settings: type[T]) -> T | None:
    """A section's settings; None, and errors noted, if something is wrong with them."""
    return _options(document, (name,), settings, document.table(name))


def _options(document: Document, path: Path, settings: type[T], table: Mapping[str, Any]) -> T | None:
    values = document.read(path, table, _fields(settings))
    return settings(**values) if values is not None else None


def _listeners(document: Document) -> list[ListenerSettings]:
    """All listeners that are right."""
    tables = document.tables("listener", "address")
    if not tables and not document.data.get("listener"):
        document.error((), "there is no listener", '[[listener]] with an address such as "127.0.0.1:2525"')
    listeners: list[ListenerSettings] = []
    for index, table in enumerate(tables):
        listener = _options(document, ("listener", index), ListenerSettings, table)
        if listener and listener.address in [other.address for other in listeners]:
            document.error(("listener", index, "address"), f"{quote(str(listener.address))} is listened on already")
        elif listener:
            path = ("listener", index, "proxy_protocol")
            _check_not_everybody(document, path, listener.proxy_protocol, _ANYBODY)
            _check_client_certificates(document, index, listener)
            listeners.append(listener)
    return listeners


def _check_client_certificates(document: Document, index: int, listener: ListenerSettings) -> None:
    path, mode = ("listener", index, "client_certificates"), listener.client_certificates
    if mode != "none" and listener.tls == "none":
        document.error(path, f"{quote(mode)} is for listeners with TLS", 'tls = "starttls" or "implicit"')
    elif mode == "require" and not document.table("tls").get("client_ca"):
        document.error(path, '"require" needs client_ca in [tls]', "file with the certificates of those who may sign")


def _routes(document: Document, listeners: Iterable[ListenerSettings]) -> tuple[RouteSettings, ...]:
    """All routes that can be read."""
    routes: list[tuple[int, RouteSettings]] = []
    for place, table in enumerate(document.tables("route", "downstream")):
        route = _options(document, ("route", place), RouteSettings, table)
        if route:
            check_relay(document, ("route", place), route, [listener.address for listener in listeners])
            routes.append((place, route))
    check_routes(document, routes)
    return tuple(route for _, route in routes)


def _check_server(document: Document, server: ServerSettings) -> None:
    path = ("server", "mynetworks")
    _check_not_everybody(document, path, server.mynetworks, "which would make this an open relay")
    _check_not_everybody(document, ("server", "xclient_peers"), server.xclient_peers, _ANYBODY)
    _check_not_everybody(document, ("server", "xforward_peers"), server.xforward_peers, _ANYBODY)


def _check_not_everybody(document: Document, path: Path, networks: Iterable[Network], why_not: str) -> None:
    for index, network in enumerate(networks):
        if network.prefixlen == 0:
            document.error(
                (*path, index), f"{network} is the whole Internet, {why_not}", hint="name only networks of your own"
            )


def _check_tls(document: Document) -> None:
    """The first listener with TLS needs it all. Whether the files are right is seen when they are read."""
    tables = document.data.get("listener")
    modes = (
        [table.get("tls", "none") for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    )
    first = next((index for index, mode in enumerate(modes) if mode in ("starttls", "implicit")), None)
    for field in _fields(TlsSettings):
        if (
            first is not None
            and field.name in ("certificate", "key")
            and not document.table("tls").get(field.name, field.default)
        ):
            problem = f"{quote(modes[first])} needs {field.name} in [tls]"
            document.error(("listener", first, "tls"), problem, field.metadata["help"])


def _check_limits(document: Document, limits: LimitSettings) -> None:
    if 4 * limits.memory_per_message > limits.message_memory:  # smtp/limits.py keeps that much for whole messages
        options = document.table("limits")
        key = "message_memory" if "message_memory" in options else "memory_per_message"
        document.error(("limits", key), "memory_per_message is more than a quarter of message_memory", "less")


def _lint(
    document: Document,
    server: ServerSettings,
    phases: Mapping[Phase, Sequence[Placed]],
    policies: Iterable[ReadPolicy],
) -> Lint:
    """What is to be said about the lists. Raises ConfigErrors if one of them makes an open relay."""
    lint = Lint(document.file, RelayWalk(server.relay_domains, dotted=not server.parent_domain_matches_subdomains))
    for phase, rules in phases.items():
        lint.look_at(phase, f"[phases] {phase.key}", rules)
    lint.relaying("[phases]", phases)
    for policy in policies:
        for phase, rules in policy.own.items():
            lint.look_at(phase, f"[[policy]] {phase.key}", rules)
        lint.relaying("[[policy]]", {**phases, **policy.own})
    if lint.errors:
        raise ConfigErrors(lint.errors)
    lint.tables(dotted=not server.parent_domain_matches_subdomains)
    return lint


def _warnings(document: Document, server: ServerSettings) -> Iterator[ConfigError]:
    if not server.relay_domains:
        path = ("server", "relay_domains")
        problem = "empty: mail is accepted from mynetworks only" if server.mynetworks else "empty: no mail is accepted"
        yield ConfigError(document.file, document.line(path), "[server] relay_domains", problem)


def _effective(document: Document, server: ServerSettings, phases: Mapping[Phase, Iterable[Placed]]) -> dict[str, Any]:
    """The document as written, with every default."""
    effective: dict[str, Any] = {}
    for name, settings in SECTIONS.items():
        if name in ("listener", "route"):
            effective[name] = [written(_fields(settings), table) for table in document.data.get(name, [])]
        else:
            effective[name] = written(_fields(settings), document.table(name))
    effective["server"]["hostname"] = server.hostname  # "" would not tell which name is in effect
    effective |= {name: document.data[name] for name in ("tables", "classes") if name in document.data}
    effective["phases"] = {phase.key: [placed.effective for placed in rules] for phase, rules in phases.items()}
    return effective


def _fields(settings: type[Any]) -> tuple[Field, ...]:
    return dataclasses.fields(settings)


def _names(settings: type[Any]) -> list[str]:
    return [field.name for field in _fields(settings)]
