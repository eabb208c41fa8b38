"""Keys of access tables that no rule which asks the table can ever look up: what is brought along from other files.

Only what is sure is said: a key is looked at as all the rules see it that use its table, in whichever list they stand.
"""

import functools
import ipaddress
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Flag, auto

from smtpgate.config.errors import ConfigError
from smtpgate.config.placed import Placed
from smtpgate.phases.access_table import AccessTable, TableUse
from smtpgate.phases.named_rules import named_by_tables
from smtpgate.phases.rule import Rule
from smtpgate.tables.indexed import Indexed
from smtpgate.tables.networks import Networks
from smtpgate.values import unmapped

# How many keys of one table are told about.
_MOST = 20
_LONGEST_KEY = 80
_EXPRESSION = re.compile(r"/.*/[a-z]*\Z")
_NETWORK = re.compile(r"[0-9a-f:.]+/[0-9.]+\Z")
_WILD = re.compile(r"(\*@.*|.*@\*|[^@]*\*[^@]*)\Z")
_IPV4_PART = re.compile(r"[0-9.]+\Z")
_IPV6_PART = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*\Z")
_IPV6_GROUP = re.compile(r"[0-9a-f]{1,4}\Z")
_NO_END = (".", ":", ",", ";")
_OCTET = re.compile(r"(0|[1-9][0-9]{0,2})\Z")


class _Asked(Flag):
    """What a table is asked about."""

    NAMES = auto()  # of hosts, and domains
    ADDRESSES = auto()  # and the networks that hold them
    HELO = auto()  # whatever a client says there
    MAIL = auto()  # addresses, and user parts


_HOSTS = _Asked.NAMES | _Asked.ADDRESSES
_BY_SUBJECT = {
    "client": _HOSTS,
    "reverse_client_hostname": _HOSTS,
    "helo": _Asked.NAMES | _Asked.HELO,
    "sender": _Asked.NAMES | _Asked.MAIL,
    "recipient": _Asked.NAMES | _Asked.MAIL,
}
_BY_SERVERS = {"a": _Asked.ADDRESSES, "mx": _HOSTS, "ns": _HOSTS}


def unreachable_keys(rules: Iterable[tuple[str, Placed]], file: str, *, dotted: bool) -> Iterator[ConfigError]:
    """The keys of tables that are never looked up.

    rules: all, each with how messages call its list. file: the configuration's. dotted: parent domains are looked up as
    ".example.org".
    """
    users: dict[AccessTable, list[tuple[str, Placed, str]]] = {}
    for where, placed in rules:
        for rule in (placed.rule, *named_by_tables([placed.rule])):
            table = _table(rule)
            if table is not None and isinstance(table.content, (Indexed, Networks)):
                users.setdefault(table, []).append((where, placed, rule.spec.name))
    for table, of_table in users.items():
        names = list(dict.fromkeys(name for _, _, name in of_table))
        where, placed, _ = of_table[0]
        if asked := _asked_by_all(names):
            yield from _of_table(table, _Told(names, file, placed.line, where), asked, dotted)


def unreachable_key(key: str, stored: str, rules: Sequence[Rule], *, dotted: bool) -> str:
    """Why a key of a table of the store is never looked up, and what to write; nothing if it is.

    stored: the table's name there. rules: all. dotted: as above.
    """
    tables = [(rule.spec.name, _table(rule)) for rule in (*rules, *named_by_tables(rules))]
    names = list(dict.fromkeys(name for name, table in tables if table is not None and table.stored == stored))
    asked = _asked_by_all(names)
    problem, hint = _problem(key, asked, dotted) if asked else ("", "")
    return ": ".join(filter(None, (_never_found(key, names, problem), hint))) if problem else ""


def _table(rule: Rule) -> AccessTable | None:
    """The table that a rule asks."""
    use = getattr(rule.options, "table", None)
    return use.table if isinstance(use, TableUse) else None


def _asked_by_all(names: Iterable[str]) -> _Asked:
    """What rules ask their table about, all together; nothing if one of them is not looked at here."""
    asked = [_asked_by(name) for name in names]
    return functools.reduce(operator.or_, asked) if asked and all(asked) else _Asked(0)


def _asked_by(name: str) -> _Asked:
    """What a rule asks its table about; nothing if that is not looked at here."""
    subject = name.removeprefix("check_").removesuffix("_access")
    of, _, servers = subject.rpartition("_")
    return (_BY_SERVERS.get(servers) if of in _BY_SUBJECT else _BY_SUBJECT.get(subject)) or _Asked(0)


@dataclass(frozen=True, slots=True)
class _Told:
    """Who asks a table, and where that is said. names: of the rules."""

    names: list[str]
    file: str
    line: int | None
    where: str


def _never_found(key: str, names: Iterable[str], problem: str) -> str:
    return f'"{key[:_LONGEST_KEY]}" is never found by {", ".join(names)}: {problem}'


def _of_table(table: AccessTable, by: _Told, asked: _Asked, dotted: bool) -> Iterator[ConfigError]:
    if isinstance(table.content, Networks):
        if not asked & (_Asked.ADDRESSES | _Asked.HELO):
            problem = f"{table.name}: {', '.join(by.names)} never looks up an address"
            yield ConfigError(by.file, by.line, by.where, problem)
        return
    assert isinstance(table.content, Indexed)
    found = 0
    for key, entry in zip(table.content.keys, table.content.entries, strict=True):
        problem, hint = _problem(key, asked, dotted)
        if not problem:
            continue
        found += 1
        if found > _MOST:
            continue
        said = _never_found(key, by.names, problem)
        if table.file is not None:
            yield ConfigError(table.file.path, entry.line, "", said, hint=hint)
        elif entry.line:
            yield ConfigError(by.file, entry.line, f"[tables] {table.name}", said, hint=hint)
        else:
            yield ConfigError(by.file, by.line, by.where, said, hint=hint)
    if found > _MOST:
        yield ConfigError(by.file, by.line, by.where, f"{table.name}: {found - _MOST} more keys are never found")


def _problem(key: str, asked: _Asked, dotted: bool) -> tuple[str, str]:
    """Why a key is never looked up, and what to write; nothing if it is."""
    if _EXPRESSION.match(key):
        return "an expression stands for itself here", 'put it into a "regexp:" or "pcre:" file'
    if _NETWORK.match(key):
        return (
            "a network is written here as what its addresses begin with",
            f'{_beginning(key)}put it into a "cidr:" file',
        )
    if _WILD.match(key):
        return "an asterisk stands for itself", _without_asterisk(key, dotted)
    if key.startswith("@"):
        return "a domain is written here without @", f'write "{key[1:]}"'
    if "@" in key:
        return ("", "") if _Asked.MAIL in asked else ("it is a mail address", "")
    if key.startswith(".") and not dotted:
        why = "unless parent_domain_matches_subdomains is false, a domain stands for what is below it, too"
        return why, f'write "{key[1:]}"'
    if key.startswith("["):
        return (
            ("", "")
            if asked & (_Asked.MAIL | _Asked.HELO)
            else ("an address has no brackets here", f'write "{key.strip("[]")}"')
        )
    if key == "unknown" or _IPV6_GROUP.match(key):
        return "", ""
    if _IPV6_PART.match(key) or (_IPV4_PART.match(key) and not key.endswith(".")):
        return _problem_of_address(key, asked)
    if key.endswith(_NO_END) and _Asked.HELO not in asked:
        return f'it ends with "{key[-1]}"', f'write "{key.rstrip("".join(_NO_END))}"'
    return ("", "") if _Asked.NAMES in asked else ("it is a name, and addresses alone are looked up", "")


def _problem_of_address(key: str, asked: _Asked) -> tuple[str, str]:
    """The same of an address, or of what one begins with."""
    if _Asked.ADDRESSES not in asked:
        return ("", "") if _Asked.HELO in asked else ("it is an address, and names alone are looked up", "")
    try:
        address = ipaddress.ip_address(key)
    except ValueError:
        return _problem_of_beginning(key)
    looked_up = str(unmapped(address))
    return ("", "") if looked_up == key else ("an address is looked up in its shortest form", f'write "{looked_up}"')


def _problem_of_beginning(key: str) -> tuple[str, str]:
    if ":" in key:
        is_right = all(group == "0" or (len(group) <= 4 and not group.startswith("0")) for group in key.split(":"))
    else:
        octets = key.split(".")
        is_right = len(octets) < 4 and all(_OCTET.match(octet) and int(octet) < 256 for octet in octets)
    return ("", "") if is_right else ("no address begins so", "numbers are written without zeros before them")


def _beginning(network: str) -> str:
    """How a network is written whose addresses have whole octets in common."""
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return ""
    octets, rest = divmod(found.prefixlen, 8)
    if found.version == 6 or rest or not octets:
        return ""
    return f'write "{".".join(str(found.network_address).split(".")[:octets])}", or '


def _without_asterisk(key: str, dotted: bool) -> str:
    if key.endswith("@*"):
        return f'write "{key[:-1]}"'
    bare = key.strip("*").strip("@.")
    if "*" in bare:
        return 'put an expression into a "regexp:" file'
    return (
        f'write "{"." if dotted and key.startswith("*.") else ""}{bare}"' if bare else 'write "static:" and the result'
    )
