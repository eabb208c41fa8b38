"""What a check answers."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from smtpgate.mailauth.authentication_results import MethodResult
from smtpgate.mailauth.message import HeaderEdit
from smtpgate.phases.message_action import MessageAction
from smtpgate.phases.reply import Reply
from smtpgate.phases.score import Points

Evidence = Mapping[str, Any]


class Action(StrEnum):
    """The six kinds of verdict, with Postfix's meaning."""

    DUNNO = "dunno"  # no opinion: the next rule is asked
    PERMIT = "permit"  # ends this phase's list
    REJECT = "reject"  # ends everything, with the reply
    DEFER = "defer"  # the same, always a 4xx
    DEFER_IF_PERMIT = "defer_if_permit"  # goes on; if all else permits, the reply is sent
    DEFER_IF_REJECT = "defer_if_reject"  # goes on; if a later rule of the list answers 5xx, the reply is sent


class Verdict(NamedTuple):
    """A check's answer.

    evidence: plain data (JSON types) that the record keeps. results: what the check found for the
    Authentication-Results field. received_spf: a Received-SPF field body (RFC 7208 §9.1). points: what it gives to the
    score. deeds: what is to be done with the message. rules: those (Rule) that are asked in this place, before the list
    goes on. edits: the numbers of header fields, and what becomes of them.
    """

    action: Action
    reply: Reply | None = None
    evidence: Evidence = MappingProxyType({})
    results: tuple[MethodResult, ...] = ()
    received_spf: str | None = None
    points: tuple[Points, ...] = ()
    deeds: tuple[MessageAction, ...] = ()
    rules: tuple[Any, ...] = ()
    edits: tuple[tuple[int, HeaderEdit], ...] = ()

    @property
    def ends_list(self) -> bool:
        """Whether the rules after it are not asked."""
        return self.action in _ENDS_LIST


class Decision(NamedTuple):
    """What a phase decided. reply: None if the dialog goes on. rule: who decided, as written in the configuration."""

    reply: Reply | None = None
    rule: str | None = None


# In Python 3.11 an enum is slow to give its members.
_ENDS_LIST = (Action.PERMIT, Action.REJECT, Action.DEFER)
GO_ON = Decision()
DUNNO = Verdict(Action.DUNNO)
PERMIT = Verdict(Action.PERMIT)


def dunno(evidence: Evidence) -> Verdict:
    """No opinion, but something was seen that the record should keep."""
    return Verdict(DUNNO.action, None, evidence)


def permit(evidence: Evidence) -> Verdict:
    """Accept as far as this phase's list is concerned."""
    return Verdict(Action.PERMIT, None, evidence)


def reject(reply: Reply, evidence: Evidence | None = None) -> Verdict:
    """Refuse, with a 4xx or 5xx reply."""
    return Verdict(Action.REJECT, reply, evidence or {})


def defer(reply: Reply, evidence: Evidence | None = None) -> Verdict:
    """Refuse for now."""
    return Verdict(Action.DEFER, _temporary(reply), evidence or {})


def defer_if_permit(reply: Reply, evidence: Evidence | None = None) -> Verdict:
    """Refuse for now, unless a later rule refuses for good."""
    return Verdict(Action.DEFER_IF_PERMIT, _temporary(reply), evidence or {})


def defer_if_reject(reply: Reply, evidence: Evidence | None = None) -> Verdict:
    """Turn a later refusal for good into one for now."""
    return Verdict(Action.DEFER_IF_REJECT, _temporary(reply), evidence or {})


def _temporary(reply: Reply) -> Reply:
    if not reply.is_temporary:
        raise ValueError(f"a deferral needs a 4xx reply, not {reply}")
    return reply
