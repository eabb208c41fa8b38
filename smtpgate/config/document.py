"""A configuration file while it is read: its values, their lines, and the errors found so far."""

import dataclasses
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from smtpgate.config.errors import ConfigError, ConfigErrors, nearest, quote
from smtpgate.config.lines import Path, find_lines
from smtpgate.config.postfix import right_name
from smtpgate.tables.source import BadLines
from smtpgate.values import ElementErrors, NotOneOf

Field = dataclasses.Field[Any]
_PLACE = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")


class Document:
    """A parsed file. file: its name in messages. Raises ConfigErrors if the text is not TOML."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.errors: list[ConfigError] = []
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigErrors([_syntax_error(text, file, str(error))]) from None
        except ValueError:
            raise ConfigErrors([ConfigError(file, None, "", "a number has too many digits")]) from None
        except RecursionError:
            raise ConfigErrors([ConfigError(file, None, "", "lists or tables are nested too deeply")]) from None
        self._lines = find_lines(text)

    def table(self, name: str) -> Mapping[str, Any]:
        """A section's options; none, and an error noted, if it is no section."""
        table = self.data.get(name, {})
        if isinstance(table, dict):
            return table
        self.error((name,), "not a section", f"[{name}], once")
        return {}

    def tables(self, name: str, each: str) -> Sequence[Mapping[str, Any]]:
        """The sections of a list of them, one for each of something; none, and an error noted, if it is none."""
        tables = self.data.get(name, [])
        if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
            return tables
        self.error((name,), "not a list of sections", f"[[{name}]], once for each {each}")
        return ()

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest thing that holds it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)

    def error(self, path: Path, problem: str, expected: str = "", hint: str = "") -> None:
        """Note an error; reading goes on, so that all are found at once."""
        self.errors.append(ConfigError(self.file, self.line(path), _where(path), problem, expected, hint))

    def read(
        self, path: Path, table: Mapping[str, Any], fields: Collection[Field], named: str = ""
    ) -> dict[str, Any] | None:
        """The typed values of a table's options, defaults included; None if something is wrong with them.

        named: what the options belong to, for messages about a table inside a list.
        """
        names = [field.name for field in fields]
        before = len(self.errors)
        prefix = f"{named}: " if named else ""
        for key in table:
            if key not in names:
                problem = f"{named}: unknown option {quote(key)}" if named else "unknown option"
                self.error((*path, key), problem, hint=right_name(key, names))
        values = {}
        for field in fields:
            if field.name in table:
                values[field.name] = self._parse((*path, field.name), table[field.name], field, prefix)
            elif field.default is dataclasses.MISSING:
                self.error(path, f"{prefix}{field.name} is missing", field.metadata["help"])
            else:
                values[field.name] = field.default
        return values if len(self.errors) == before else None

    def _parse(self, path: Path, value: Any, field: Field, prefix: str) -> Any:
        """One option's typed value; None, and errors noted, if it is wrong."""
        named = f"{prefix}{field.name} = " if prefix else ""
        try:
            return field.metadata["parse"](value)
        except ElementErrors as errors:
            for index, error in errors.errors:
                self._refuse((*path, index), f"{named}{quote(value[index])}", value[index], error)
        except ValueError as error:
            self._refuse(path, f"{named}{quote(value)}", value, error)
        return None

    def _refuse(self, path: Path, written: str, value: Any, error: ValueError) -> None:
        if isinstance(error, BadLines):
            for line, problem in error.problems:
                if error.file:
                    self.errors.append(ConfigError(error.file, line, "", problem))
                else:
                    self.error(path, f"{written}, line {line}: {problem}")
            return
        hint = nearest(value, error.words) if isinstance(error, NotOneOf) else ""
        self.error(path, f"{written} is not right", str(error), hint)


def written(fields: Collection[Field], table: Mapping[str, Any]) -> dict[str, Any]:
    """A table's options as written, defaults included."""
    return {field.name: table.get(field.name, field.metadata["written_default"]) for field in fields}


def _where(path: Path) -> str:
    """A path as the administrator sees it: "[limits] recipients"."""
    if not path:
        return ""
    section, *rest = (part for part in path if isinstance(part, str))
    header = f"[[{section}]]" if len(path) > 1 and isinstance(path[1], int) else f"[{section}]"
    return f"{header} {rest[0]}" if rest else header


def _syntax_error(text: str, file: str, message: str) -> ConfigError:
    place = _PLACE.search(message)
    if place is None:
        return ConfigError(file, None, "", message)
    problem = message[: place.start()]
    if place[1] is None:
        return ConfigError(file, text.count("\n") + 1, "", "not TOML", hint=f"{problem}, at the end of the file")
    return ConfigError(file, int(place[1]), "", "not TOML", hint=f"{problem}, at column {place[2]}")
