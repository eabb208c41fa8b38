"""Policies: some recipients have rules of their own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from smtpgate.phases.facts import Address, Transaction
from smtpgate.phases.phase import Phase
from smtpgate.phases.reply import Reply
from smtpgate.phases.rule import Rule

Lists = Mapping[Phase, tuple[Rule, ...]]

_AFTER_RCPT = (Phase.DATA, Phase.END_OF_DATA)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules for some recipients.

    name: what the record calls it; "" is everybody's. recipients: addresses in lower case, domains as lower-case
    A-labels, and ".example.org" for every domain below example.org. lists: the rules of all phases; those that it has
    not itself are everybody's.
    """

    name: str
    recipients: tuple[str, ...]
    lists: Lists


class Policies:
    """Finds a recipient's policy: of the address, the domain, the nearest domain above, or everybody's.

    delimiters: the characters that an address's extension may begin with.
    """

    def __init__(self, everybody: Lists, policies: Sequence[Policy], delimiters: str = "") -> None:
        self._delimiters = delimiters
        self._everybody = Policy("", (), everybody)
        self._by_name = {name: policy for policy in policies for name in policy.recipients}
        self._policies = [self._everybody, *policies]
        self._after_rcpt = {policy.name: _after_rcpt(policy) for policy in self._policies}

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies)

    def of(self, phase: Phase, tx: Transaction) -> Policy:
        """Whose lists are asked. Before RCPT there is no recipient; after it, the first accepted one stands for all."""
        if not self._by_name or phase < Phase.RCPT:
            return self._everybody
        if phase is Phase.RCPT:
            return self._find(tx.recipient)
        return self._find(tx.recipients[0]) if tx.recipients else self._everybody

    def apart(self, tx: Transaction) -> Reply | None:
        """The reply to a recipient whose message must be judged by other rules than that of those before it.

        RFC 5321 §4.5.3.1.10: after 452 the client sends to it in another transaction.
        """
        if not self._by_name or not tx.recipients:
            return None
        first, other = self._find(tx.recipients[0]), self._find(tx.recipient)
        if self._after_rcpt[first.name] == self._after_rcpt[other.name]:
            return None
        text = f"<{tx.recipient.text[:256]}>: This recipient has rules of its own, please send to it separately"
        return Reply(452, "5.3", text)

    def _find(self, recipient: Address) -> Policy:
        domain = recipient.domain
        *addresses, _ = recipient.keys(self._delimiters)
        found = next((self._by_name[name] for name in (*addresses, domain) if name in self._by_name), None)
        dot = domain.find(".")
        while found is None and dot >= 0:
            found = self._by_name.get(domain[dot:])
            dot = domain.find(".", dot + 1)
        return found or self._everybody


def _after_rcpt(policy: Policy) -> object:
    """What decides about the message as a whole; recipients for whom it is the same can share one."""
    late = [rule for phase in _AFTER_RCPT for rule in policy.lists.get(phase, ())]
    same = tuple((rule.phase, rule.key, rule.mode) for rule in late)
    # A threshold depends on what the lists before it give, too.
    return (policy.name, same) if any(rule.spec.score == "asks" and not rule.shadow for rule in late) else same
