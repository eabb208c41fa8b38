"""The values of DSN's parameters (RFC 3461 §4). They are checked, and passed on as the client wrote them."""

import re

# RFC 3461 §4: xtext
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+\Z")
# RFC 6533 §3: "utf-8" addresses may stand as they are in a transaction with SMTPUTF8.
_UNITEXT = re.compile(r"(?:[!-*,-<>-~\xa1-\U0010ffff]|\+[0-9A-F]{2})+\Z")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
# RFC 5321 §4.1.2: an atom
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]+\Z")
_LONGEST_ENVID = 100
_LONGEST_ORCPT = 500
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})


def ret(value: str | None) -> str:
    """RET: how much of the message comes back (§4.3). Raises ValueError saying what was expected."""
    if value is None or value.upper() not in ("FULL", "HDRS"):
        raise ValueError("expected FULL or HDRS")
    return value


def envid(value: str | None) -> str:
    """ENVID: the sender's name for the transaction (§4.4). Raises ValueError saying what was expected."""
    if value is None or len(value) > _LONGEST_ENVID or not _XTEXT.match(value) or not _is_printable(value):
        raise ValueError(f"expected at most {_LONGEST_ENVID} characters of xtext")
    return value


def notify(value: str | None) -> str:
    """NOTIFY: when the sender wants to hear (§4.1). Raises ValueError saying what was expected."""
    words = (value or "").upper().split(",")
    if words != ["NEVER"] and not _NOTIFY.issuperset(words):
        raise ValueError("expected NEVER, or a list of SUCCESS, FAILURE, DELAY")
    return value or ""


def orcpt(value: str | None, *, smtputf8: bool) -> str:
    """ORCPT: the recipient as the sender named it first (§4.2). Raises ValueError saying what was expected."""
    kind, _, address = (value or "").partition(";")
    text = _UNITEXT if smtputf8 and kind.lower() == "utf-8" else _XTEXT
    if not _ADDRESS_TYPE.match(kind) or not text.match(address) or not _is_printable(address):
        raise ValueError("expected an address type, a semicolon and xtext")
    if len(value or "") > _LONGEST_ORCPT:
        raise ValueError(f"expected at most {_LONGEST_ORCPT} characters")
    return value or ""


def _is_printable(text: str) -> bool:
    """Whether nothing unprintable is hidden in it. §4.2, §4.4: it ends up in the header of a report."""
    return all(0x20 <= int(code, 16) < 0x7F for code in _HEXCHAR.findall(text))
