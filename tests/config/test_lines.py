"""The scanner finds every path that tomllib finds, at its line."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.config.lines import find_lines

Keys = tuple[str | int, ...]

EVERYTHING = Path(__file__).with_name("everything.toml").read_text()


def paths(value: Any, path: Keys = ()) -> Iterator[Keys]:
    if path:
        yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("top",), "top = 1"),
        (("server",), "[server]"),
        (("server", "name"), "name ="),
        (("server", "quoted key", "other key"), '"quoted key"'),
        (("server", "text"), "text ="),
        (("listener",), "[[listener]]"),
        (("listener", 1, "address"), 'address = "y"'),
        (("listener", 1, "tls", "on"), "on = true"),
        (("listener", 1, "peer", 1, "a"), "a = 1979"),
        (("phases", "rcpt", 0), '"a", # one'),
        (("phases", "rcpt", 1, "rule"), '{ rule = "b"'),
        (("phases", "rcpt", 1, "deep", 1, 1), '{ rule = "b"'),
        (("phases", "rcpt", 2), "'c'"),
        (("phases", "long"), "long ="),
        (("phases", "escaped"), "escaped ="),
        (("phases", "last", "a", "b"), "last.a.b"),
        (("phases", "last", "c"), "last.c"),
    ],
)
def test_each_kind_of_place(path: Keys, text: str) -> None:
    before = EVERYTHING[: EVERYTHING.index(text)]
    assert find_lines(EVERYTHING)[path] == before.count("\n") + 1


def test_the_example_is_toml_and_nothing_is_missed() -> None:
    assert set(find_lines(EVERYTHING)) == set(paths(tomllib.loads(EVERYTHING)))


def test_deep_nesting_that_tomllib_accepts() -> None:
    depth = 200
    lines = find_lines("a = " + "[" * depth + "]" * depth)
    assert lines[("a", *[0] * (depth - 1))] == 1


# Documents: any text, written in any of the ways that TOML allows.
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
scalars = st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False), words, st.dates(), st.datetimes())
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
documents = st.dictionaries(words, values | st.dictionaries(words, values), max_size=4)


class Writer:
    """Writes data as TOML; each choice between notations is drawn."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.out: list[str] = []

    def string(self, text: str) -> str:
        plain = all(char >= " " and char != "\x7f" for char in text)
        kinds = ["basic", "long"]
        if plain and "'" not in text:
            kinds += ["literal", "long literal"]
        match self.draw(st.sampled_from(kinds)):
            case "literal":
                return f"'{text}'"
            case "long literal":
                return "'''\n" + text + "'''"
            case "long":
                return '"""' + self.draw(st.sampled_from(["", "\n", '""', '\\"""'])) + escape(text) + '"""'
        return f'"{escape(text)}"'

    def key(self, text: str) -> str:
        if text and all(char.isascii() and (char.isalnum() or char in "-_") for char in text):
            return text
        return f"'{text}'" if plain(text) and self.draw(st.booleans()) else f'"{escape(text)}"'

    def gap(self) -> str:
        return str(self.draw(st.sampled_from(["", " ", "\n", " # ]}'\"\n", "\r\n\t"])))

    def value(self, value: Any) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            case str():
                return self.string(value)
            case list():
                inner = "".join(f"{self.gap()}{self.value(item)}{self.gap()}," for item in value)
                return f"[{inner}{self.gap()}]"
            case dict():
                return "{ " + ", ".join(f"{self.key(k)} = {self.value(v)}" for k, v in value.items()) + " }"
            case int() | float():
                return repr(value).replace("e+", "e")
        return str(value)

    def table(self, path: list[str], table: dict[str, Any]) -> None:
        below = {k: v for k, v in table.items() if isinstance(v, dict) and self.draw(st.booleans())}
        arrays = {k: v for k, v in table.items() if is_tables(v) and self.draw(st.booleans())}
        for key, value in table.items():
            if key not in below and key not in arrays:
                self.out.append(f"{self.key(key)} ={' '}{self.value(value)}  # = [\n")
        for key, value in below.items():
            inner = [*path, key]
            self.out.append("[" + " . ".join(map(self.key, inner)) + "]\n")
            self.table(inner, value)
        for key, values in arrays.items():
            inner = [*path, key]
            for value in values:
                self.out.append("[[" + ".".join(map(self.key, inner)) + "]]\r\n")
                self.table(inner, value)


def is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def plain(text: str) -> bool:
    return all(char >= " " and char not in "\x7f'" for char in text)


def escape(text: str) -> str:
    return "".join(char if char.isalnum() or char in " #[]{}=,.'" else f"\\U{ord(char):08x}" for char in text)


@given(st.data())
def test_every_path_is_found(data: st.DataObject) -> None:
    writer = Writer(data.draw)
    writer.table([], data.draw(documents))
    text = "".join(writer.out)
    assert set(find_lines(text)) == set(paths(tomllib.loads(text)))


@given(st.text("ab.=[]{}\"',#\n\\ 1", max_size=40))
def test_whatever_tomllib_accepts(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(find_lines(text)) == set(paths(data))
