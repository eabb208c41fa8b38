"""What smtpgate and Postfix said to the same command, and where they may differ: docs/postfix.md explains each."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.system.twin_sessions import Session

_REFERENCE = re.compile(r" \(ref [0-9A-Z]{8}\)\Z")
_CODES = re.compile(r"(\d{3})(?: (\d\.\d{1,3}\.\d{1,3})(?= |\Z))?")
# No mailbox of RFC 5321 §4.1.2; Postfix completes or routes them.
# The text of a refusal by a rule; what the dialog itself has to say stands in words of its own.
_BY_A_RULE = re.compile(r"(?:<.*>: |Client host |Service unavailable; |Session encryption )")
_NO_MAILBOX = re.compile(r"<(?:[^@>]+|[^@>]+@|@[^:>]+|[^@>]+@[^@>]+@[^>]+)>")


@dataclass(frozen=True)
class Exchange:
    """One command, "connect" or "." at first and last, and what both answered. before: in the same session."""

    session: Session
    command: str
    ours: str
    theirs: str
    before: Sequence["Exchange"]

    @property
    def codes(self) -> tuple[str, str]:
        """Reply code and enhanced code, "250 2.1.0", of both."""
        return _code(self.ours), _code(self.theirs)

    @property
    def texts(self) -> tuple[str, str]:
        """What follows the codes, without our reference; the same twice if they are not to be compared."""
        mine, other = (_REFERENCE.sub("", _CODES.sub("", reply, 1)).strip() for reply in (self.ours, self.theirs))
        return (mine, other) if self.is_refused and _BY_A_RULE.match(other) else ("", "")

    @property
    def is_alike(self) -> bool:
        """Whether both answered the same."""
        return len(set(self.codes)) == 1 and len(set(self.texts)) == 1

    @property
    def is_refused(self) -> bool:
        """Whether both refused it."""
        return all(code[:1] in "45" for code in self.codes)

    @property
    def ends_message(self) -> bool:
        """Whether it is the end of a message."""
        return self.command == "." or "LAST" in self.command

    def follows(self, what: Callable[["Exchange"], bool]) -> bool:
        """Whether there was such an exchange in this session."""
        return any(what(exchange) for exchange in self.before)

    def __str__(self) -> str:
        return f"{self.command}\n      smtpgate {self.ours}\n      Postfix  {self.theirs}"


def exchanges(session: Session, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Exchange]:
    """All commands of a session."""
    commands = ["connect"]
    for step in session.steps:
        commands += step.lines + ((".",) if step.ends_in_data else ())
    before: list[Exchange] = []
    for command, mine, other in zip(commands, ours, theirs, strict=True):
        yield Exchange(session, command, mine, other, tuple(before))
        before.append(Exchange(session, command, mine, other, ()))


def _code(reply: str) -> str:
    match = _CODES.match(reply)
    return " ".join(filter(None, match.groups())) if match else reply


# By the name in docs/postfix.md: when the two may differ so. As narrow as can be.
DIFFERENCES: dict[str, Callable[[Exchange], bool]] = {
    "Addresses without a domain, or with two": lambda it: (
        it.codes[0] in ("501 5.1.3", "501 5.1.7") and _NO_MAILBOX.search(it.command) is not None
    ),
    "UTF-8 in a sender without SMTPUTF8": lambda it: it.codes == ("553 5.6.7", "501 5.1.7"),
    "Values of parameters": lambda it: it.codes == ("501 5.5.4", "555 5.5.4") and "BODY=" in it.command,
    "Enhanced codes everywhere": lambda it: it.codes == ("501 5.5.4", "501") and it.command in ("HELO", "EHLO"),
    "HELP": lambda it: it.command == "HELP" and it.codes == ("214 2.0.0", "500 5.5.2"),
    "EXPN": lambda it: it.command == "EXPN you" and it.codes == ("502 5.5.1", "500 5.5.2"),
    "VRFY": lambda it: it.command.startswith("VRFY") and it.codes[0] == "252 2.0.0",
    "ETRN": lambda it: it.command == "ETRN" and it.codes[0] == "500 5.5.2",
    "QUIT with an argument": lambda it: it.command == "QUIT now" and it.codes == ("501 5.5.4", "221 2.0.0"),
    "The bare postmaster": lambda it: (
        (it.command == "DATA" or it.ends_message) and "<postmaster>: recipient address" in it.theirs.lower()
    ),
    "What a refused message leaves behind": lambda it: (
        (it.codes[1] == "503 5.5.1" or it.codes[0] in ("503 5.5.1", "554 5.5.1"))
        and it.follows(lambda old: old.ends_message and old.is_refused)
    ),
    "What a nested MAIL leaves behind": lambda it: (
        "bücher" in it.theirs + it.command
        and it.follows(lambda old: old.command.startswith("MAIL") and old.codes[0] == "503 5.5.1")
    ),
    "What a refused SIZE leaves behind": lambda it: (
        it.codes[1] == "552 5.3.4"
        and "SIZE" not in it.command
        and it.follows(lambda old: "SIZE=99" in old.command and old.is_refused)
    ),
    "The content of a client that was refused": lambda it: (
        it.codes[1] == "221 2.7.0" and it.follows(lambda old: "BDAT" in old.command and old.codes[0] == "503 5.7.0")
    ),
    "HELO names with a final dot": lambda it: (
        it.codes[1] == "450 4.7.1" and ".>: Helo command rejected: Host not found" in it.theirs
    ),
    "Clients with several names": lambda it: it.session.client == "two-names" and it.codes[1] == "450 4.7.25",
    "The client's name": lambda it: (
        it.texts[0] != it.texts[1] and it.texts[0] == re.sub(r"^<[^<>\[]+\[", "<[", it.texts[1])
    ),
    "The resolver's words": lambda it: (
        it.texts[1].startswith(f"{it.texts[0]}: ") and "Unable to look up mail exchanger" in it.texts[0]
    ),
    "Quotes in a refusal's text": lambda it: it.texts[0] != it.texts[1] and it.texts[0].replace('"', "") == it.texts[1],
    "UTF-8 in a refusal's text": lambda it: (
        it.texts[0] != it.texts[1] and it.texts[0] == re.sub(r"[^ -~]+", "?", it.texts[1])
    ),
    "Answers of lists that are no listings": lambda it: (
        it.session.client in ("parked", "refused-by-list") and "blocked using" in it.theirs
    ),
}


# After it they are in different states, though both refused.
_PARTS = ("What a refused message leaves behind",)


def judge(session: Session, ours: Sequence[str], theirs: Sequence[str]) -> tuple[set[str], Exchange | None]:
    """The differences of a session that are known, and the first that is not.

    Where one goes on and the other does not, what follows cannot be compared.
    """
    known: set[str] = set()
    for exchange in exchanges(session, ours, theirs):
        mine, other = exchange.codes
        if exchange.is_alike:
            continue
        name = next((name for name, may_differ in DIFFERENCES.items() if may_differ(exchange)), None)
        if name is None:
            return known, exchange
        known.add(name)
        if name in _PARTS or (mine[:1] != other[:1] and not exchange.is_refused):
            break
    return known, None
