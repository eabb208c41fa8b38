"""Whether a stranger could send mail through this host to strangers: the rules before the relay guard, walked for one.

A stranger has no address of ours, no login and no certificate that we know, but says whatever he likes in HELO and
MAIL. What may permit such a session before a guard is reached makes an open relay, and the session is the
counter-example. Other rules before it may refuse that session; they are no guards, and nothing is built upon them.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from smtpgate.phases.access_table import TableUse
from smtpgate.phases.rule import Rule
from smtpgate.phases.verdict import Action
from smtpgate.tables.indexed import Indexed, Static

# Whom these permit is no stranger, or the recipient is ours.
KNOWN = (
    "permit_mynetworks",
    "permit_inet_interfaces",
    "permit_sasl_authenticated",
    "permit_tls_all_clientcerts",
    "permit_tls_clientcerts",
    "permit_auth_destination",
)
# What strangers choose, or are, and tables are asked about; a certificate that is written down is no stranger's.
_SUBJECTS = ("client", "helo", "sender", "recipient", "ccert")
# Keys of tables that have none: whatever is looked up, and what an expression or a network fits.
_ANY, _SOME = "*", "/"


@dataclass(frozen=True, slots=True)
class Stranger:
    """A session. client: an address, or who it is in words. is_known: somebody has written down this client, or this
    recipient.
    """

    client: str = "203.0.113.7"
    helo: str = "evil.example"
    sender: str = "x@evil.example"
    recipient: str = "victim@elsewhere.example"
    is_known: bool = False

    def __str__(self) -> str:
        return f"client {self.client}, EHLO {self.helo}, MAIL FROM:<{self.sender}>, RCPT TO:<{self.recipient}>"


@dataclass(frozen=True, slots=True)
class Leak:
    """A session whose mail goes to a stranger. why: what permits it. is_open: anybody can have it, whenever he likes;
    if not, it takes somebody else too.
    """

    session: Stranger
    why: str
    is_open: bool


def is_guard(rule: Rule) -> bool:
    """Whether no stranger gets past it."""
    return rule.spec.guard and not rule.shadow and rule.on_error == "defer"


class RelayWalk:
    """Walks lists for strangers. ours: relay_domains. dotted: tables have parent domains as ".example.org"."""

    def __init__(self, ours: Collection[str], *, dotted: bool) -> None:
        self._ours = ours
        self._dotted = dotted

    def leak(self, rule: Rule) -> Leak | None:
        """The worst that a rule before the guard lets through."""
        return min(self._of_rule(rule, Stranger(), ()), key=lambda leak: not leak.is_open, default=None)

    def _of_list(self, rules: Sequence[Rule], session: Stranger, way: tuple[Rule, ...]) -> Iterator[Leak]:
        for rule in rules:
            if is_guard(rule):
                return
            yield from self._of_rule(rule, session, way)

    def _of_rule(self, rule: Rule, session: Stranger, way: tuple[Rule, ...]) -> Iterator[Leak]:
        name = rule.spec.name
        if rule.shadow or rule.spec.score == "gives" or rule in way:
            return
        if rule.on_error == "permit":
            yield Leak(session, f'if {name} fails, as it has on_error = "permit"', not session.is_known)
        if name == "permit_mx_backup":
            if not rule.options.networks:
                yield Leak(session, "if elsewhere.example names this host as its backup, without being asked", False)
        elif name.startswith("permit") and name not in KNOWN and not rule.spec.ours_only:
            yield Leak(session, f"{name} permits it", not session.is_known)
        elif name == "check_policy_service":
            default = rule.options.default_action
            if default.read(default.public_text)[0].action is Action.PERMIT:
                yield Leak(session, f"if the service is away, as default_action is {default.public_text}", True)
            yield Leak(session, "if the service says OK", False)
        elif name.endswith("_access"):
            yield from self._of_table(rule, session, way)

    def _of_table(self, rule: Rule, session: Stranger, way: tuple[Rule, ...]) -> Iterator[Leak]:
        use: TableUse = rule.options.table
        subject = rule.spec.name.removeprefix("check_").removesuffix("_access")
        if not use.permits or subject not in _SUBJECTS:
            return
        if use.table.stored is not None:
            yield Leak(session, f"if {use.public_text} says OK; the store is not looked at here", False)
        for key, text in _entries(use, subject, session):
            narrowed = self._narrowed(session, subject, key)
            if narrowed is None:
                continue
            result, rules = use.read(text)
            is_sure = key != _SOME
            if result.action is Action.PERMIT and result.deed is None:
                said = {_ANY: "it", _SOME: "what an entry fits"}.get(key, f'"{key}"')
                why = f"{said} is {text.split()[0]} in {use.public_text}"
                yield Leak(narrowed, why, is_sure and not narrowed.is_known)
            for leak in self._of_list(rules, narrowed, (*way, rule)):
                yield dataclasses.replace(leak, is_open=is_sure and leak.is_open)

    def _narrowed(self, session: Stranger, subject: str, key: str) -> Stranger | None:
        """The session that a key fits; None if it is no stranger's, or the recipient is ours."""
        if key == _ANY or (key == _SOME and subject not in ("client", "ccert")):
            return session
        if subject == "ccert" or (key.startswith(".") and not self._dotted):
            return None
        match subject:
            case "client":
                return None if "@" in key else _with_client(session, key)
            case "helo":
                return dataclasses.replace(session, helo=_host(key))
            case "sender":
                return dataclasses.replace(session, sender="" if key == "<>" else _mailbox(key, "evil.example"))
        domain = key.rpartition("@")[2].removeprefix(".")
        if domain in self._ours:
            return None
        # Who is written down can be sent to, and nobody else, unless it is a name in any domain.
        is_known = session.is_known or bool(domain)
        return dataclasses.replace(session, recipient=_mailbox(key, "elsewhere.example"), is_known=is_known)


def _entries(use: TableUse, subject: str, session: Stranger) -> Iterator[tuple[str, str]]:
    """Keys and results of a table."""
    content = use.table.content
    if isinstance(content, Static):
        yield _ANY, content.entries[0].result
    elif isinstance(content, Indexed):
        for key in content.keys:
            yield key, content.find(key, True) or ""
    else:
        first = content.find(getattr(session, subject, ""), True)
        if first is not None:
            yield _ANY, first
        for entry in content.entries:
            yield _SOME, entry.result


def _with_client(session: Stranger, key: str) -> Stranger:
    if key == _SOME:
        return dataclasses.replace(session, client="in one of its networks", is_known=True)
    if key == "unknown":
        return dataclasses.replace(session, client="203.0.113.7 without a name")
    # Anybody can have a name in a top-level domain.
    is_top = "." not in key.strip(".") and ":" not in key and not key.isdigit()
    client = f"x.{key.strip('.')}" if is_top else key
    return dataclasses.replace(session, client=client, is_known=session.is_known or not is_top)


def _host(key: str) -> str:
    return f"x{key}" if key.startswith(".") else key


def _mailbox(key: str, domain: str) -> str:
    if key.endswith("@"):
        return key + domain
    return key if "@" in key else f"x@{_host(key)}"
