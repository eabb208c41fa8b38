"""What the right-hand side of a header_checks table says: header_checks(5)."""

import re
from dataclasses import dataclass
from enum import Enum

from smtpgate.phases.message_action import Deed, MessageAction, message_action
from smtpgate.phases.reply import Reply

_ENHANCED = re.compile(r"([45])\.(\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_CODE = re.compile(r"([45]\d\d)(?:\s+(.*))?\Z", re.DOTALL)
# RFC 5322 §2.2, §2.1.1: a name of printable characters, and lines of at most 998 octets.
_FIELD = re.compile(r"[!-9;-~]{1,76}:")
_LONGEST_FIELD = 990
_LINE_END = re.compile(r"[\r\n\0]+[ \t]*")

_WORDS = "REJECT, IGNORE, REPLACE, PREPEND, DISCARD, HOLD, REDIRECT, BCC, WARN, INFO, DUNNO"


class Edit(Enum):
    """What is done with the header field that matched."""

    KEEP = "keep"
    REMOVE = "remove"
    REPLACE = "replace"
    PREPEND = "prepend"  # a field is put before it


@dataclass(frozen=True, slots=True)
class HeaderAction:
    """One action. word: its name. reply: of a refusal. deed: done with the message; edit, field: with the field."""

    word: str
    reply: Reply | None = None
    deed: MessageAction | None = None
    edit: Edit = Edit.KEEP
    field: bytes = b""


def header_action(text: str) -> HeaderAction:
    """An action as header_checks(5) has it, or a code with a text. Raises ValueError."""
    word, _, rest = text.strip().partition(" ")
    word, rest = word.upper(), _LINE_END.sub(" ", rest).strip()
    if word in ("DUNNO", "PASS", "INFO", "WARN"):
        return HeaderAction(word)
    if word in ("IGNORE", "STRIP"):
        return HeaderAction(word, edit=Edit.REMOVE)
    if word in ("REPLACE", "PREPEND"):
        if not _FIELD.match(rest):
            raise ValueError(f'{word} needs a header field, such as "{word} X-Listed: yes"')
        field = rest.encode()[:_LONGEST_FIELD].decode("utf-8", "ignore").encode() + b"\r\n"
        return HeaderAction(word, edit=Edit[word], field=field)
    if word == "REJECT":
        return HeaderAction(word, _reply(550, rest or "Message content rejected"))
    if coded := _CODE.match(f"{word} {rest}".strip()):
        if not coded[2]:
            raise ValueError(f"{word} needs a text behind it")
        return HeaderAction(word, _reply(int(coded[1]), coded[2]))
    if word in Deed.__members__:
        return HeaderAction(word, deed=message_action(word, rest))
    if word == "FILTER":
        raise ValueError(
            "FILTER names a transport of a mail queue, and there is none here: set it in the server behind"
        )
    raise ValueError(f"{text.split()[0][:60]!r} is no action: expected one of {_WORDS}, or a code and a text")


def _reply(code: int, text: str) -> Reply:
    """RFC 2034 §4: an enhanced code may stand in front of the text; its class decides of what REJECT is."""
    detail = "7.1"
    if enhanced := _ENHANCED.match(text):
        detail, text = enhanced[2], text[enhanced.end() :]
        if code == 550 and enhanced[1] == "4":
            code = 450
    return Reply(code, detail, text or "Message content rejected")
