"""Tables of keys and results, in no order: hash:, texthash: and their like, as postmap(1) reads them."""

import re
from collections.abc import Iterable, Mapping, Sequence

import idna

from smtpgate.tables.source import Entry, Problem, logical_lines

# Postfix (dict_thash.c): the key ends at the first blank that is neither quoted nor behind a backslash.
_KEY = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+')
_NETWORK = re.compile(r"[0-9.]+\Z|[0-9a-f]{0,4}:[0-9a-f:.]*\Z|[0-9a-f]{1,4}\Z")


class Indexed:
    """Results by key, whatever its case."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        by_key = {folded(key): entry for key, entry in entries.items()}
        self._results = {key: entry.result for key, entry in by_key.items()}
        self.entries: Sequence[Entry] = tuple(by_key.values())
        self.has_names = any(not _NETWORK.match(key) for key in self._results)

    @property
    def keys(self) -> Iterable[str]:
        """Every key, in lower case; as many as entries, and in the same order."""
        return self._results.keys()

    def find(self, key: str, whole: bool) -> str | None:
        """The result of a key (Table)."""
        return self._results.get(key.lower())


class Static:
    """The same result for every key (Postfix: static:)."""

    has_names: bool = False

    def __init__(self, result: str) -> None:
        self.entries: Sequence[Entry] = (Entry(0, result),)

    def find(self, key: str, whole: bool) -> str | None:
        """The result (Table)."""
        return self.entries[0].result


def parse_indexed(text: str) -> tuple[Indexed, list[Problem], list[Problem]]:
    """A table of lines "key result"; what cannot be used, and what is only odd: keys that stand there twice."""
    entries: dict[str, Entry] = {}
    problems, warnings = [], []
    for number, line in logical_lines(text):
        match = _KEY.match(line)
        if match is None:
            problems.append(Problem(number, "a line must not begin with a blank, nor with half a quotation"))
            continue
        key, result = match[0], line[match.end() :].strip()
        if not result or not line[match.end()].isspace():
            problems.append(Problem(number, f"expected a key, a blank and a result, not {line[:60]!r}"))
        elif folded(key) in entries:
            warnings.append(Problem(number, f"{key} stands in line {entries[folded(key)].line} already, which counts"))
        else:
            entries[folded(key)] = Entry(number, result)
    return Indexed(entries), problems, warnings


def folded(key: str) -> str:
    """A key as it is looked for: lower case, the domain's labels as the DNS has them (RFC 5890 §2.3.2.1)."""
    key = key.lower()
    local, at, domain = key.rpartition("@")
    if domain.isascii():
        return key
    try:
        dot = "." if domain.startswith(".") else ""
        return f"{local}{at}{dot}{idna.encode(domain.removeprefix('.'), uts46=True).decode()}"
    except idna.IDNAError:
        return key
