"""What the right-hand side of an access table says: access(5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smtpgate.phases.message_action import Deed, MessageAction, message_action
from smtpgate.phases.reply import Reply
from smtpgate.phases.subject import Subject, rejected
from smtpgate.phases.verdict import Action, Verdict

# Postfix's defaults: access_map_reject_code, access_map_defer_code.
_REJECT, _DEFER = 554, 450
_ENHANCED = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_CODE = re.compile(r"[45]\d\d\s+(.+)\Z", re.DOTALL)
_PERMITS = ("OK", "RELAY")
_REPLIES = {
    "REJECT": (Action.REJECT, _REJECT, "Access denied"),
    "DEFER": (Action.DEFER, _DEFER, "Access denied"),
    "DEFER_IF_PERMIT": (Action.DEFER_IF_PERMIT, _DEFER, "Service unavailable"),
    "DEFER_IF_REJECT": (Action.DEFER_IF_REJECT, _DEFER, "Service unavailable"),
}
_WITHOUT_SENSE = {
    "FILTER": "names a transport of a mail queue, and there is none here: set it in the mail server behind",
    "DELAY": "delays in a mail queue, and there is none here",
    "HANGUP": "leaves the client without an answer: use 421 or 521, which answer and hang up",
}
# RFC 5322 §2.2: printable characters but the colon; §2.1.1: at most 998 octets.
_FIELD = re.compile(r"[!-9;-~]{1,76}:[ \t]*[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_LONGEST_FIELD = 998

ACTIONS = ("DUNNO", *_PERMITS, *_REPLIES, "INFO", "WARN", *(deed.value for deed in Deed))


@dataclass(frozen=True, slots=True)
class AccessResult:
    """A result. text: as written. code, detail, reason: of the reply. deed: what is done with the message. names: the
    rules to ask in its place, as written.
    """

    text: str
    action: Action = Action.DUNNO
    code: int = 0
    detail: str = "7.1"
    reason: str = ""
    deed: MessageAction | None = None
    names: str = ""

    def verdict(self, subject: Subject, name: str, evidence: Mapping[str, Any], rules: tuple[Any, ...]) -> Verdict:
        """What it means for somebody of that name."""
        reply = None
        if self.code:
            reply = Reply(self.code, _fitting(self.detail, subject), rejected(name, subject, self.reason))
        return Verdict(self.action, reply, evidence, rules=rules, deeds=(self.deed,) if self.deed else ())


def parse_result(text: str) -> AccessResult:
    """A result as access(5) has it. Raises ValueError."""
    word, rest = _first_word(text)
    name = word.upper()
    if not text.strip():
        raise ValueError("there is no result")
    if name == "DUNNO":
        return AccessResult(text)
    if name in ("INFO", "WARN"):
        return AccessResult(text, reason=rest)
    if re.fullmatch(r"[45]\d\d", text):
        raise ValueError(f"{text} needs a text behind it: a number alone means OK")
    if name in _PERMITS or text.isdigit():
        return AccessResult(text, Action.PERMIT)
    if name in _REPLIES:
        action, code, default = _REPLIES[name]
        return _refusal(text, action, code, rest, default)
    if coded := _CODE.match(text):
        action = Action.DEFER if word[0] == "4" else Action.REJECT
        return _refusal(text, action, int(word), coded[1], "")
    if name in Deed.__members__:
        if name == "PREPEND" and (not _FIELD.match(rest) or len(rest.encode()) > _LONGEST_FIELD):
            raise ValueError('PREPEND needs a header field, such as "PREPEND X-Listed: yes"')
        action = Action.PERMIT if name == "DISCARD" else Action.DUNNO
        return AccessResult(text, action, deed=message_action(name, rest))
    if name in _WITHOUT_SENSE:
        raise ValueError(f"{name} {_WITHOUT_SENSE[name]}")
    if ":" in text:
        raise ValueError("a table cannot name a table: name a class of [classes], which may")
    return AccessResult(text, names=text)


def _first_word(text: str) -> tuple[str, str]:
    word, *rest = text.split(maxsplit=1) or [""]
    return word, rest[0].strip() if rest else ""


def _refusal(text: str, action: Action, code: int, rest: str, default: str) -> AccessResult:
    detail = "7.1"
    if enhanced := _ENHANCED.match(rest):  # RFC 2034 §4; its class is that of the code
        detail, rest = enhanced[2], rest[enhanced.end() :]
    return AccessResult(text, action, code, detail, rest or default or "Access denied")


# Postfix (smtpd_dsn_fix.c): codes about addresses, as they are said of a sender and of a recipient.
_OF_SENDER = {"1": "7", "2": "8", "3": "7", "4": "7", "5": "0", "6": "7", "7": "7", "8": "8"}
_OF_RECIPIENT = {"7": "3", "8": "2"} | {str(number): str(number) for number in range(1, 7)}


def _fitting(detail: str, subject: Subject) -> str:
    """An enhanced code that is said of the right thing: one table may serve for senders, recipients and clients."""
    kind, _, number = detail.partition(".")
    if kind != "1":
        return detail
    if subject is Subject.SENDER:
        return f"1.{_OF_SENDER.get(number, '0')}"
    if subject is Subject.RECIPIENT:
        return f"1.{_OF_RECIPIENT.get(number, '0')}"
    return "0.0"
