"""The sections [[policy]]: recipients who have rules of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.config.document import Document
from smtpgate.config.errors import nearest, quote
from smtpgate.config.lines import Path
from smtpgate.config.placed import Placed
from smtpgate.config.relay import route_domain
from smtpgate.config.rules import RuleReader
from smtpgate.phases.phase import Phase
from smtpgate.phases.policy import Policy
from smtpgate.values import ElementErrors, list_of

_PHASES = {phase.key: phase for phase in Phase}
_KEYS = ("recipients", *_PHASES)
_BEFORE_RCPT = (Phase.CLIENT, Phase.HELO, Phase.MAIL)


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """A section that is right. recipients: as they are compared. own: the lists that it has itself."""

    recipients: tuple[str, ...]
    own: Mapping[Phase, Sequence[Placed]]

    def policy(self, everybody: Mapping[Phase, Sequence[Placed]]) -> Policy:
        """The rules of all phases for these recipients."""
        lists = {**everybody, **self.own}
        rules = {phase: tuple(placed.rule for placed in lists[phase]) for phase in Phase}
        return Policy(self.recipients[0], self.recipients, rules)

    @property
    def effective(self) -> dict[str, Any]:
        """The section with every default."""
        own = {phase.key: [placed.effective for placed in rules] for phase, rules in self.own.items()}
        return {"recipients": list(self.recipients), **own}


def recipient_pattern(value: Any) -> str:
    """A mail address, a domain, or all domains below one: ".example.org"."""
    local, at, domain = value.rpartition("@") if isinstance(value, str) else ("", "", value)
    try:
        if not at:
            return route_domain(value)
        if not local or domain.startswith("."):
            raise ValueError
        return f"{local.lower()}@{route_domain(domain)}"
    except ValueError:
        raise ValueError('a recipient such as "sales@example.org", "example.org" or ".example.org"') from None


def read_policies(document: Document, rules: RuleReader, *, delay_reject: bool) -> list[ReadPolicy]:
    """All sections that are right; errors are noted in the document."""
    read: list[ReadPolicy] = []
    for place, table in enumerate(document.tables("policy", "group of recipients")):
        path: Path = ("policy", place)
        _check_keys(document, path, table, delay_reject=delay_reject)
        recipients = _recipients(document, path, table, [name for policy in read for name in policy.recipients])
        given = {key: value for key, value in table.items() if key in _PHASES}
        if not given:
            document.error(path, "this policy has no list of its own", "one of " + ", ".join(_PHASES))
        name = recipients[0] if recipients else ""
        read.append(ReadPolicy(recipients, rules.read_lists(path, given, policy=name)))
    return read


def _check_keys(document: Document, path: Path, table: Mapping[str, Any], *, delay_reject: bool) -> None:
    for key in table:
        if key not in _KEYS:
            document.error((*path, key), "unknown option", "one of " + ", ".join(_KEYS), nearest(key, _KEYS))
        elif not delay_reject and _PHASES.get(key) in _BEFORE_RCPT:
            problem = f"with delay_reject = false, {key} is answered before the recipient is known"
            document.error((*path, key), problem, hint="put its rules into rcpt")


def _recipients(document: Document, path: Path, table: Mapping[str, Any], taken: Sequence[str]) -> tuple[str, ...]:
    """Whose policy it is; none, and errors noted, if that is not right."""
    value = table.get("recipients")
    path = (*path, "recipients")
    if value is None or value == []:
        document.error(
            path, "recipients is missing", 'whose policy it is, such as ["example.org", "sales@example.net"]'
        )
        return ()
    try:
        recipients: tuple[str, ...] = list_of(recipient_pattern)(value)
    except ElementErrors as errors:
        for index, error in errors.errors:
            document.error((*path, index), f"{quote(value[index])} is not right", str(error))
        return ()
    except ValueError as error:
        document.error(path, f"{quote(value)} is not right", str(error))
        return ()
    for index, name in enumerate(recipients):
        if name in taken or name in recipients[:index]:
            document.error((*path, index), f"{quote(name)} has a policy already")
    return recipients
