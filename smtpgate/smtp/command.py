"""Command lines: bytes to verb and argument, and the parameters of MAIL and RCPT."""

import re
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple, TypeVar

from smtpgate.phases.reply import Reply
from smtpgate.relay.downstream import NO_PARAMETERS, RcptParameters
from smtpgate.smtp import dsn

# RFC 5321 §4.5.3.1.4 asks for at least 512 octets, extensions add to it; Postfix: line_length_limit.
LONGEST_LINE = 2048

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# RFC 5321 §4.1.2: esmtp-keyword and esmtp-value
_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~\xa1-\U0010ffff]+))?\Z")
# RFC 3030 §2; no chunk is larger than SIZE can say (RFC 1870 §3).
_CHUNK = re.compile(r"(?P<size>[0-9]{1,20})(?: +(?P<last>LAST))?\Z", re.IGNORECASE)

SYNTAX = Reply(500, "5.2", "Syntax error: command not recognized")
TOO_LONG = Reply(500, "5.2", "Line too long")
BAD_LINE_END = Reply(500, "5.2", "Syntax error: lines must end with CRLF")
BAD_CHARACTER = Reply(500, "5.2", "Syntax error: control or invalid characters")
CHUNK_SYNTAX = Reply(521, "5.4", "Syntax: BDAT octets [LAST]")


class CommandError(Exception):
    """A command that cannot be carried out; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def parse_command(line: bytes) -> tuple[str, str]:
    """Parse one command line, line end included: the verb in upper case, and its argument without blanks around it.

    Raises CommandError.
    """
    if len(line) > LONGEST_LINE:
        raise CommandError(TOO_LONG)
    # RFC 5321 §2.3.8: a bare LF must not be taken for a line end.
    if line[-2:] != b"\r\n":
        raise CommandError(BAD_LINE_END)
    try:
        text = line[:-2].decode()
    except UnicodeDecodeError:
        raise CommandError(BAD_CHARACTER) from None
    if not text.isprintable() and _CONTROL.search(text):  # what is printable has none, and is seen faster
        raise CommandError(BAD_CHARACTER)
    verb, _, argument = text.partition(" ")
    if not verb.isascii():
        raise CommandError(SYNTAX)
    return verb.upper(), argument.strip(" ")


def parse_chunk(text: str) -> tuple[int, bool]:
    """Parse BDAT's argument: how many octets follow, and whether they are the last. Raises CommandError."""
    match = _CHUNK.match(text)
    if match is None:
        raise CommandError(CHUNK_SYNTAX)
    return int(match["size"]), match["last"] is not None


class MailParameters(NamedTuple):
    """What MAIL said besides the sender. size: octets as declared. ret, envid: DSN's, as the client wrote them."""

    body: str = "7BIT"
    smtputf8: bool = False
    size: int | None = None
    ret: str | None = None
    envid: str | None = None
    requiretls: bool = False


_NOTHING_SAID = MailParameters()


def parse_mail_parameters(text: str, offered: Collection[str], *, in_tls: bool = False) -> MailParameters:
    """Parse what follows the sender. Raises CommandError: 501 for bad values, 555 for unknown parameters.

    offered: those of the extensions 8BITMIME, DSN and SMTPUTF8 that EHLO offers.
    """
    if not text:
        return _NOTHING_SAID
    body, smtputf8, size, ret, envid, requiretls = "7BIT", False, None, None, None, False
    for keyword, value in _parameters(text).items():
        match keyword:
            case "SIZE":
                size = _value(keyword, _octets, value)
            case "BODY" if "8BITMIME" in offered:
                body = _value(keyword, _body, value)
            case "SMTPUTF8" if "SMTPUTF8" in offered:  # RFC 6531 §3.4
                smtputf8 = _value(keyword, _flag, value)
            case "REQUIRETLS" if in_tls:  # RFC 8689 §2: elsewhere there is no such parameter
                requiretls = _value(keyword, _flag, value)
            case "RET" if "DSN" in offered:
                ret = _value(keyword, dsn.ret, value)
            case "ENVID" if "DSN" in offered:
                envid = _value(keyword, dsn.envid, value)
            case "AUTH":  # RFC 4954 §5: accepted from anybody, and not believed
                _value(keyword, _mailbox, value)
            case _:
                raise _unknown(keyword)
    return MailParameters(body, smtputf8, size, ret, envid, requiretls)


def parse_rcpt_parameters(text: str, offered: Collection[str], *, smtputf8: bool) -> RcptParameters:
    """Parse what follows the recipient. Raises CommandError: 501 for bad values, 555 for unknown parameters.

    offered: as for MAIL. smtputf8: MAIL said so.
    """
    if not text:
        return NO_PARAMETERS
    notify = orcpt = None
    for keyword, value in _parameters(text).items():
        match keyword:
            case "NOTIFY" if "DSN" in offered:
                notify = _value(keyword, dsn.notify, value)
            case "ORCPT" if "DSN" in offered:
                orcpt = _value(keyword, partial(dsn.orcpt, smtputf8=smtputf8), value)
            case _:
                raise _unknown(keyword)
    return RcptParameters(notify, orcpt)


def _parameters(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.match(word)
        if match is None:
            raise CommandError(Reply(501, "5.4", "Syntax error in parameters"))
        keyword = match["keyword"].upper()
        if keyword in found:
            raise _bad(keyword, "given twice")
        found[keyword] = match["value"]
    return found


def _value(keyword: str, parse: Callable[[str | None], T], value: str | None) -> T:
    try:
        return parse(value)
    except ValueError as problem:
        raise _bad(keyword, str(problem)) from None


def _octets(value: str | None) -> int:
    # RFC 1870 §3: up to 20 digits
    if value is None or not re.fullmatch(r"[0-9]{1,20}", value):
        raise ValueError("expected a number of octets")
    return int(value)


def _body(value: str | None) -> str:
    # RFC 6152 §2
    body = (value or "").upper()
    if body not in ("7BIT", "8BITMIME"):
        raise ValueError("expected 7BIT or 8BITMIME")
    return body


def _flag(value: str | None) -> bool:
    if value is not None:
        raise ValueError("takes no value")
    return True


def _mailbox(value: str | None) -> None:
    if value is None:
        raise ValueError("expected a mailbox or <>")


def _bad(keyword: str, problem: str) -> CommandError:
    return CommandError(Reply(501, "5.4", f"{keyword}: {problem}"))


def _unknown(keyword: str) -> CommandError:
    # RFC 5321 §4.1.1.11
    return CommandError(Reply(555, "5.4", f"Parameter not recognized: {keyword[:40]}"))
