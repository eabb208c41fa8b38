"""Strangers' strings inside header fields that we write: quoted, printable, of bounded length."""

import re

_UNPRINTABLE = re.compile(r"[^ -~]")
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_NOT_IN_COMMENT = re.compile(r"[^!-'*-\[\]-~ ]")  # RFC 5322 §3.2.2: ctext, without parentheses and backslash
# A mailbox of the longest local part and domain (RFC 5321 §4.5.3.1). Quoted, it stays within a line of 998 octets.
_LONGEST = 320


def quoted_string(text: str) -> str:
    """A quoted-string (RFC 5322 §3.2.4); what is not printable ASCII becomes "?"."""
    printable = _UNPRINTABLE.sub("?", text[:_LONGEST])
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def dot_atom_or_quoted(text: str) -> str:
    """The text itself if it is a dot-atom (RFC 5322 §3.2.3), else a quoted-string."""
    return text if len(text) <= _LONGEST and _DOT_ATOM.match(text) else quoted_string(text)


def comment_text(text: str) -> str:
    """A text that can stand within a comment: parentheses, backslashes and what is not printable become "?"."""
    return _NOT_IN_COMMENT.sub("?", text[:_LONGEST])
