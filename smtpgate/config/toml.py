"""Writes a configuration as TOML."""

from collections.abc import Iterable, Mapping
from typing import Any

_WIDE = 100


def dump(document: Mapping[str, Any]) -> str:
    """A document of sections, arrays of sections and their options, such as Settings.effective."""
    parts = []
    for name, section in document.items():
        if isinstance(section, list):
            parts += [f"[[{name}]]\n{_options(table)}" for table in section]
        else:
            parts.append(f"[{name}]\n{_options(section)}")
    return "\n".join(parts)


def inline(value: Any) -> str:
    """One value in one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{"".join(map(_escaped, value))}"'
        case Mapping():
            return "{ " + ", ".join(f"{_key(key)} = {inline(inner)}" for key, inner in value.items()) + " }"
        case list() | tuple():
            return f"[{', '.join(map(inline, value))}]"
    return str(value)  # numbers, dates and times


def _options(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """A value; a list that would be too long for one line gets a line for each element."""
    line = inline(value)
    if not isinstance(value, Iterable) or isinstance(value, (str, Mapping)) or len(line) <= _WIDE:
        return line
    return "[\n" + "".join(f"  {inline(element)},\n" for element in value) + "]"


def _key(key: str) -> str:
    return key if key.replace("_", "a").replace("-", "a").isalnum() and key.isascii() else inline(key)


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if " " <= char <= "~" else f"\\U{ord(char):08X}"
