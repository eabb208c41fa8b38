"""At which line each key, table and array element of a TOML text stands.

tomllib parses, and forgets the lines; this scanner finds them again. It trusts that tomllib accepted the text, so
it knows only as much grammar as is needed to tell where values begin and end. No recursion: nesting is a list.
"""

import re
import tomllib

Path = tuple[str | int, ...]

# No text has two readings, so that one of any length is read once. (Python before 3.11.5 cannot repeat a group
# possessively, though it seems to: gh-106052.)
_PIECE = re.compile(
    r"""
    (?P<string> \"{3} (?: [^"\\]++ | \\. | "{1,2}(?!") )* "{3,5}
              | '{3} (?: [^']++ | '{1,2}(?!') )* '{3,5}
              | " (?: [^"\\]++ | \\. )* "
              | ' [^']*+ ' )
  | (?P<mark> [][{},=.\n] )
  | (?P<bare> [^][{},=.\n\s#"']+ )
  | (?P<ignored> \#[^\n]*+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_END = ("\n", 0)


def find_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of every path in a text that tomllib accepts.

    A path is what leads to a value in tomllib's result: ("phases", "rcpt", 2) is the third element of rcpt.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._pieces = _pieces(text)
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._newest: dict[Path, int] = {}  # of every array of tables, the index of its newest element

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._at < len(self._pieces):
            match self._peek():
                case "\n":
                    self._at += 1
                case "[":
                    table = self._header()
                case _:
                    self._value(self._key(table))
        return self._lines

    def _header(self) -> Path:
        """[table] or [[array.of.tables]]; returns the path of the table that begins."""
        self._at += 1
        is_array = self._peek() == "["
        self._at += is_array
        line, (*parents, name) = self._names("]")
        self._at += is_array
        path: Path = ()
        for parent in parents:
            path = self._note((*path, parent), line)
            if path in self._newest:
                path = (*path, self._newest[path])
        path = self._note((*path, name), line)
        if is_array:
            self._newest[path] = self._newest.get(path, -1) + 1
            path = self._note((*path, self._newest[path]), line)
        return path

    def _key(self, table: Path) -> Path:
        """A key up to its "="; returns its path."""
        line, names = self._names("=")
        for name in names:
            table = self._note((*table, name), line)
        return table

    def _names(self, end: str) -> tuple[int, list[str]]:
        """The line and the parts of a dotted name; what ends it is taken as well."""
        line, names = self._pieces[self._at][1], []
        while (piece := self._take()) != end:
            if piece[0] in "\"'":
                names.append(tomllib.loads(f"name = {piece}")["name"])
            elif piece != ".":
                names.append(piece)
        return line, names

    def _value(self, path: Path) -> None:
        """A value, with all that is inside it."""
        containers: list[tuple[Path, int | None]] = []  # open arrays with their next index, inline tables with None
        while True:
            piece = self._take()
            if piece == "[":
                containers.append((path, 0))
            elif piece == "{":
                containers.append((path, None))
            else:
                while self._peek() not in ",]}\n":  # a date and a float are several pieces
                    self._at += 1
            while containers and self._peek() in ",]}\n":
                if self._take() in "]}":
                    containers.pop()
            if not containers:
                return
            inside, index = containers[-1]
            if index is None:
                path = self._key(inside)
            else:
                containers[-1] = (inside, index + 1)
                path = self._note((*inside, index), self._pieces[self._at][1])

    def _note(self, path: Path, line: int) -> Path:
        self._lines.setdefault(path, line)
        return path

    def _peek(self) -> str:
        return (self._pieces[self._at] if self._at < len(self._pieces) else _END)[0]

    def _take(self) -> str:
        self._at += 1
        return self._pieces[self._at - 1][0]


def _pieces(text: str) -> list[tuple[str, int]]:
    """The text in pieces, each with its line; without comments and spaces."""
    pieces, line = [], 1
    for match in _PIECE.finditer(text):
        if match.lastgroup != "ignored":
            pieces.append((match[0], line))
        line += match[0].count("\n")
    return pieces
