"""Content-Type and Content-Disposition (RFC 2045 §5, RFC 2183): the type, and every name that a part may have.

Names are for comparison with patterns: whatever a mail program may make of a field is among them. Everything is linear
in the length of the field; nothing that a stranger writes raises.
"""

import codecs
import encodings
import itertools
import pkgutil
import re
import unicodedata
from base64 import b64decode
from binascii import Error, a2b_qp
from collections.abc import Iterator, Mapping, Sequence
from encodings.aliases import aliases
from urllib.parse import unquote_to_bytes

LONGEST_NAME = 1024
MOST_PARAMETERS = 200  # of a field; nobody may hide one behind so many
# The quantifiers that end in "+" never give back.
_PARAMETER = re.compile(r';\s*+([^\s=;"]{1,80})\s*+=\s*+(?:"((?:[^"\\]++|\\.)*)"?|([^;]*+))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# RFC 2231 §3, §4: name*3*= is the fourth section of a name, with percent signs.
_SECTION = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*)?\Z")
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*+)\?=(?:\s++(?==\?))?")
# Python has encodings that are none of text, or whose time is not linear.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
# It remembers every name that it was ever asked for, and looks for a module of that name: only those are looked up that
# it has.
_CHARSETS = frozenset(aliases).union(module.name for module in pkgutil.iter_modules(encodings.__path__))
_LONGEST_CHARSET = 40


def media_type(value: str) -> str:
    """The type that a Content-Type field names, in lower case; "" if it is none."""
    written = "".join(value[:LONGEST_NAME].partition(";")[0].split()).lower()
    return written if written.count("/") == 1 else ""


def parameters(value: str) -> dict[str, list[str]]:
    """The values of each parameter, as often as it stands there, RFC 2231's sections put together."""
    found: dict[str, list[str]] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in itertools.islice(_PARAMETER.finditer(value), MOST_PARAMETERS):
        section = _SECTION.match(match[1].lower())
        if section is None:
            continue
        text = match[3].strip() if match[2] is None else _ESCAPED.sub(r"\1", match[2])
        if section[2] is None and section[3] is None:
            found.setdefault(section[1], []).append(text)
        else:
            sections.setdefault(section[1], {})[int(section[2] or 0)] = text, section[3] is not None
    for name, parts in sections.items():
        found.setdefault(name, []).append(_together([parts[index] for index in sorted(parts)]))
    return found


def names(given: Mapping[str, Sequence[str]], parameter: str) -> Iterator[str]:
    """Every name that one of the parameters may give a part, made equal to others that mean the same file."""
    for text in given.get(parameter, ()):
        yield plain_name(text)
        if "=?" in text:  # RFC 2047 §5 forbids it here; everybody does it
            yield plain_name(_decoded_words(text))


def plain_name(text: str) -> str:
    """A file's name in lower case, without its directory and what systems leave out: control characters, final dots."""
    visible = text[-4 * LONGEST_NAME :]
    if not visible.isprintable():
        visible = "".join(char for char in visible if unicodedata.category(char)[0] != "C")
    return re.split(r"[/\\]", visible)[-1].strip().rstrip(". ").lower()[-LONGEST_NAME:]


def _together(sections: list[tuple[str, bool]]) -> str:
    """RFC 2231 §4.1: the first section names the character set of those with percent signs."""
    charset, octets = "utf-8", b""
    for index, (text, encoded) in enumerate(sections):
        if encoded and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
        if len(octets) > 64 * LONGEST_NAME:
            break
    return _text(octets, charset)


def _decoded_words(text: str) -> str:
    """RFC 2047 §2 and §6.2: spaces between two encoded words are none."""
    return _ENCODED_WORD.sub(lambda word: _text(_octets(word[2].lower(), word[3]), word[1]), text)


def _octets(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "replace")
    if encoding == "q":
        return a2b_qp(octets, header=True)
    try:
        return b64decode(octets + b"=" * (-len(octets) % 4))
    except Error:
        return b""


def _text(octets: bytes, charset: str) -> str:
    """Octets of a name in a character set; without it, ASCII is what can be told."""
    octets = octets[-4 * LONGEST_NAME :]
    try:
        name = encodings.normalize_encoding(charset[:_LONGEST_CHARSET]).lower() or "utf_8"
        if name not in _CHARSETS or codecs.lookup(name).name in _NO_CHARSETS:
            raise LookupError
        return octets.decode(name, "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")
