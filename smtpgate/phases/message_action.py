"""What a verdict can ask to be done with the message, beside what is answered (Postfix: access(5), "OTHER ACTIONS")."""

import re
from dataclasses import dataclass, field
from enum import Enum

from smtpgate.values import domain

_MAILBOX = re.compile(r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,255}@)([^@\s]+)\Z")


class Deed(Enum):
    """What is done with the message when it is complete and all else permits."""

    PREPEND = "PREPEND"  # a header field is put before it
    DISCARD = "DISCARD"  # it is thrown away, and the client told that it was accepted
    HOLD = "HOLD"  # it goes into the quarantine
    REDIRECT = "REDIRECT"  # it goes to one address in place of all recipients
    BCC = "BCC"  # it goes to one address more


@dataclass(frozen=True, slots=True)
class MessageAction:
    """A deed. text: the header field, the address, or the reason. by: the rule that wants it, once one has asked."""

    deed: Deed
    text: str
    by: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.deed.value} {self.text}".rstrip()


def message_action(word: str, text: str) -> MessageAction:
    """A deed as tables name it. Raises ValueError if REDIRECT or BCC have no address."""
    deed = Deed[word]
    if deed in (Deed.REDIRECT, Deed.BCC):
        try:
            text = _address(text)
        except ValueError:
            raise ValueError(f'{word} needs an address, such as "{word} postmaster@example.org"') from None
    return MessageAction(deed, text)


def _address(text: str) -> str:
    mailbox = _MAILBOX.match(text)
    if mailbox is None:
        raise ValueError
    return mailbox[1] + domain(mailbox[2])  # as A-labels: who passes it on need not know SMTPUTF8


def joined(earlier: tuple[MessageAction, ...], new: tuple[MessageAction, ...]) -> tuple[MessageAction, ...]:
    """All of them in order, each once: a list that is asked for every recipient asks for the same again."""
    return tuple(dict.fromkeys((*earlier, *new)))
