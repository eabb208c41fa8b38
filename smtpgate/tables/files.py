"""Tables in files: their types, reading them, and whether they have changed."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from smtpgate.tables.expressions import Flavour
from smtpgate.tables.indexed import parse_indexed
from smtpgate.tables.networks import parse_networks
from smtpgate.tables.patterns import parse_patterns
from smtpgate.tables.source import Problem, Table

# What postmap(1) makes of it is not read: the text file beside it is, as it was written.
INDEXED_TYPES = ("hash", "texthash", "btree", "lmdb", "cdb", "dbm")
FILE_TYPES = (*INDEXED_TYPES, "regexp", "pcre", "cidr")

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file and how it is read. kind: one of FILE_TYPES."""

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"

    def stamp(self) -> Stamp | None:
        """What tells whether it changed; None if it is not there. Blocks."""
        try:
            found = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read(self) -> "TableText":
        """The table. Blocks. Raises OSError or ValueError if there is nothing that could be read."""
        try:
            text = Path(self.path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from None
        return parse_table(self.kind, text)


@dataclass(frozen=True, slots=True)
class TableText:
    """What a text says. problems: lines that cannot be used. warnings: those that nobody can have meant."""

    table: Table
    problems: list[Problem]
    warnings: list[Problem] = field(default_factory=list)


def parse_table(kind: str, text: str) -> TableText:
    """A table from its source text. kind: one of FILE_TYPES."""
    if kind == "cidr":
        return TableText(*parse_networks(text))
    if kind in ("regexp", "pcre"):
        return TableText(*parse_patterns(text, Flavour(kind)))
    return TableText(*parse_indexed(text))
