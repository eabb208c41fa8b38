"""Tables of networks: cidr:, as cidr_table(5) describes them."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from smtpgate.tables.blocks import Blocks
from smtpgate.tables.source import Entry, Problem, logical_lines
from smtpgate.values import Network

_STATEMENT = re.compile(r"(if|endif)(?![0-9A-Za-z])\s*(.*)\Z", re.IGNORECASE | re.DOTALL)
_PATTERN = re.compile(r"([!\s]*)(\S*)\s*(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Line:
    """wanted: whether the address must be in the network, or must not. result: None for an if. skip: how many of the
    lines behind it belong to an if, and are passed over with it.
    """

    network: Network
    wanted: bool
    result: str | None


class Networks:
    """Results of networks; the first that holds an address counts. Nothing else is ever found."""

    has_names: bool = False

    def __init__(self, lines: Blocks[_Line], entries: tuple[Entry, ...]) -> None:
        self._lines = lines
        self.entries: Sequence[Entry] = entries

    def find(self, key: str, whole: bool) -> str | None:
        """The result of an address (Table)."""
        if not whole or not (key[:1].isdigit() or ":" in key):
            return None
        try:
            address = ipaddress.ip_address(key.partition("%")[0])
        except ValueError:
            return None
        for line in self._lines.walk(lambda line: (address in line.network) == line.wanted):
            if line.result is not None:
                return line.result
        return None


def parse_networks(text: str) -> tuple[Networks, list[Problem]]:
    """A table of lines "network result", with if … endif and "!", and what cannot be used."""
    lines: Blocks[_Line] = Blocks()
    entries, problems = [], []
    for number, line in logical_lines(text):
        statement = _STATEMENT.match(line)
        try:
            if statement is None:
                read = _read(line)
                entries.append(Entry(number, read.result or ""))
                lines.add(read)
            elif statement[1].lower() == "if":
                lines.begin(number, _read(statement[2].strip(), condition=True))
            else:
                lines.end(statement[2])
        except ValueError as error:
            problems.append(Problem(number, str(error)))
            if statement and statement[1].lower() == "if":  # so that its endif is not refused as well
                lines.begin(number, _Line(ipaddress.ip_network("0.0.0.0/32"), True, None))
    problems += [Problem(number, "this if has no endif") for number in lines.open]
    return Networks(lines, tuple(entries)), problems


def _read(line: str, *, condition: bool = False) -> _Line:
    match = _PATTERN.match(line)
    assert match is not None
    if line[:1].isspace():
        raise ValueError("a line must not begin with a blank")
    negations, pattern, result = match[1].count("!"), match[2], match[3].strip()
    if not pattern:
        raise ValueError("expected a network")
    if condition == bool(result):
        raise ValueError(f"{result!r} is too much behind an if" if condition else "expected a network and a result")
    try:
        network = ipaddress.ip_network(re.sub(r"\[(.*)\]", r"\1", pattern))
    except ValueError:
        expected = 'a network such as "192.0.2.0/24" or "2001:db8::/32", without host bits'
        raise ValueError(f"{pattern[:60]!r} is not right: expected {expected}") from None
    return _Line(network, negations % 2 == 0, None if condition else result)
