"""Tables of networks: cidr:, as cidr_table(5) describes them."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smtpgate.tables.blocks import Blocks, read_blocks
from smtpgate.tables.source import Entry, Problem
from smtpgate.values import IPAddress, Network

_PATTERN = re.compile(r"([!\s]*)(\S*)\s*(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Line:
    """wanted: whether the address must be in the network, or must not. result: None for an if."""

    network: Network
    wanted: bool
    result: str | None


class Networks:
    """Results of networks; the first that holds an address counts. Nothing else is ever found."""

    has_names: bool = False

    def __init__(self, lines: Blocks[_Line], entries: tuple[Entry, ...]) -> None:
        self._lines = lines
        # Tables of whole countries have ten thousands of lines: to walk all of them would hold others up.
        is_plain = not lines.has_conditions and all(line.wanted for line in lines)
        self._by_length = _by_length(lines) if is_plain else None
        self.entries: Sequence[Entry] = entries

    def find(self, key: str, whole: bool) -> str | None:
        """The result of an address (Table)."""
        if not whole or not (key[:1].isdigit() or ":" in key):
            return None
        try:
            address = ipaddress.ip_address(key.partition("%")[0])
        except ValueError:
            return None
        if self._by_length is not None:
            return _first(self._by_length, address)
        for line in self._lines.walk(lambda line: (address in line.network) == line.wanted):
            if line.result is not None:
                return line.result
        return None


# For each version and length of prefix: by the prefix the number of its first line, and that one's result.
_ByLength = dict[tuple[int, int], dict[int, tuple[int, str]]]


def _by_length(lines: Iterable[_Line]) -> _ByLength:
    found: _ByLength = {}
    for number, line in enumerate(lines):
        network = line.network
        prefix = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        of_length = found.setdefault((network.version, network.prefixlen), {})
        of_length.setdefault(prefix, (number, line.result or ""))
    return found


def _first(networks: _ByLength, address: IPAddress) -> str | None:
    """The result of the first line whose network holds an address."""
    found = [
        of_length[prefix]
        for (version, length), of_length in networks.items()
        if version == address.version and (prefix := int(address) >> (address.max_prefixlen - length)) in of_length
    ]
    return min(found)[1] if found else None


def parse_networks(text: str) -> tuple[Networks, list[Problem]]:
    """A table of lines "network result", with if … endif and "!", and what cannot be used."""
    nowhere = _Line(ipaddress.ip_network("0.0.0.0/32"), True, None)
    lines, entries, problems = read_blocks(text, _line, lambda rest: _read(rest.strip(), condition=True), nowhere)
    return Networks(lines, entries), problems


def _line(text: str) -> tuple[_Line, str]:
    read = _read(text)
    return read, read.result or ""


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
