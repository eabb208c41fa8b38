"""Rule lists and dialogs for smtpgate and for Postfix: drawn at random from a seed, and some that are staged."""

import dataclasses
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load
from tests.system.twin_zone import CLIENTS, HELO_NAMES, MYNETWORKS, RECIPIENTS, SENDERS

_PARAMETERS = {
    "client": "smtpd_client_restrictions",
    "helo": "smtpd_helo_restrictions",
    "mail": "smtpd_sender_restrictions",
    "rcpt": "smtpd_recipient_restrictions",
    "data": "smtpd_data_restrictions",
    "end_of_data": "smtpd_end_of_data_restrictions",
}
# Where what clients, names and addresses are up to is written, for both.
_TABLES = Path(__file__).with_name("twin_tables")
_SUBJECTS = ("client", "reverse_client_hostname", "helo", "sender", "recipient")
# What stands behind the names of rules that need it; each line is one way to write the rule.
ARGUMENTS = {
    **{f"check_{subject}_access": (f"hash:{_TABLES}/access",) for subject in _SUBJECTS},
    **{
        f"check_{subject}_{kind}_access": (f"hash:{_TABLES}/servers",)
        for subject in _SUBJECTS
        for kind in ("a", "mx", "ns")
    },
    "check_reverse_client_hostname_access": (f"hash:{_TABLES}/servers",),
    "reject_rbl_client": ("bl.example", "bl.example=127.0.0.2", "bl.example=127.0.0.[2..11]"),
    "permit_dnswl_client": ("wl.example", "wl.example=127.0.[5..9].[0..3]"),
    "permit_rhswl_client": ("wl.example",),
    "reject_rhsbl_client": ("dbl.example", "dbl.example=127.0.1.2"),
    "reject_rhsbl_reverse_client": ("dbl.example",),
    "reject_rhsbl_helo": ("dbl.example",),
    "reject_rhsbl_sender": ("dbl.example", "dbl.example=127.0.1.3"),
    "reject_rhsbl_recipient": ("dbl.example",),
}
# Rules of Postfix that are not drawn, and why.
NOT_DRAWN = {
    "sleep": "a test does not wait",
    "check_policy_service": "has a test of its own with real services",
    "reject_unverified_recipient": "Postfix finds out by sending mail, and defers until it knows",
    "reject_unverified_sender": "the same",
    "permit_tls_clientcerts": "nobody has a certificate",
    "check_ccert_access": "the same",
    "check_sasl_access": "AUTH is not offered",
    "reject_sender_login_mismatch": "Postfix ignores it where AUTH is not offered",
    "reject_authenticated_sender_login_mismatch": "the same",
    "reject_unauthenticated_sender_login_mismatch": "the same",
    "reject_known_sender_login_mismatch": "the same",
}
# Whatever a rule says of its name must differ: it takes part in staged sessions alone.
_ANOTHER_TO_POSTFIX = "two-names"
# They end the list, or everything: they are drawn seldom, or nothing else would be asked.
_UNCONDITIONAL = ("permit", "reject", "defer")
_GUARD = "reject_unauth_destination"
_MOST_RULES = 4
_WARNING = 0.15  # of all rules
CONTENT = "Subject: test\r\n\r\nA line.\r\n.\r\n"
# The command with its content, of which the last CRLF is added to it as to every line.
_BDAT = "BDAT 26 LAST\r\nSubject: test\r\n\r\nA line."


@dataclass(frozen=True)
class RuleLists:
    """The lists of one listener, in the words that both understand. family: 4 or 6."""

    number: int
    delay_reject: bool
    lists: dict[str, list[str]]
    family: int

    @property
    def toml(self) -> str:
        """For smtpgate."""
        lines = [f"{phase} = {json.dumps(rules)}" for phase, rules in self.lists.items()]
        server = f'delay_reject = {json.dumps(self.delay_reject)}\nmynetworks = ["{MYNETWORKS}"]\n'
        return server + "[phases]\n" + "\n".join(lines)

    @property
    def overrides(self) -> list[str]:
        """For Postfix: what stands behind -o in master.cf."""
        # texthash: is what smtpgate calls hash: as well, the text that postmap(1) would make a database of.
        lists = [
            f"{_PARAMETERS[phase]} = {', '.join(rules).replace('hash:', 'texthash:')}"
            for phase, rules in self.lists.items()
        ]
        return [f"smtpd_delay_reject = {'yes' if self.delay_reject else 'no'}", *lists]

    def names(self, name: str) -> bool:
        """Whether a rule of this name stands in any of the lists."""
        return any(name in rule.split()[:2] for rules in self.lists.values() for rule in rules)


@dataclass(frozen=True)
class Step:
    """Lines that are sent in one piece, and as many replies. After DATA, CONTENT follows, if the reply is 354."""

    lines: tuple[str, ...]

    @property
    def ends_in_data(self) -> bool:
        """Whether the content follows, if the server wants it."""
        return self.lines[-1] == "DATA"


@dataclass
class Session:
    """What one client does. client: its key in CLIENTS."""

    rules: RuleLists
    number: int
    client: str
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        """It and no other."""
        return f"{self.rules.number}.{self.number}"


def every_session(seed: int, lists: int, sessions: int, known: frozenset[str]) -> Iterator[Session]:
    """Sessions under each of so many drawn rule lists, and the staged ones. known: the names that Postfix knows."""
    for rules in draw_rule_lists(seed, lists, known):
        yield from draw_sessions(seed, rules, sessions)
    yield from staged_sessions(lists)


def staged_sessions(first: int) -> Iterator[Session]:
    """What shows each known difference, however the others are drawn. first: the number of the first list."""
    rcpt = ["reject_unauth_destination", "reject_rbl_client parked.example", "reject_rbl_client refusing.example"]
    rcpt += ["reject_unknown_client_hostname", "reject_unknown_helo_hostname"]
    ends = {"data": ["reject_non_fqdn_recipient"], "end_of_data": ["reject_non_fqdn_sender"]}
    asks = RuleLists(first, True, {"rcpt": rcpt, **ends}, 4)
    backup = RuleLists(first + 2, True, {"rcpt": ["permit_mx_backup", "reject_unauth_destination"]}, 4)
    refuses = RuleLists(first + 1, False, {"client": ["defer"], "rcpt": rcpt}, 4)
    hello, mail, rcpt_to = "EHLO good.client.example", "MAIL FROM:<ann@good.example>", "RCPT TO:<you@example.org>"
    odd = ("HELP", "EXPN you", "VRFY you@elsewhere.example", "ETRN", "HELO", f"{mail} BODY=x", "QUIT now")
    odd += ("MAIL FROM:<ann>", "MAIL FROM:<ann@bücher.example>")
    dialogs: list[tuple[RuleLists, str, list[str]]] = [
        *((asks, "good", [hello, line]) for line in odd),
        (asks, "good", [hello, f"{mail} SIZE=99999999999", mail]),
        (asks, "good", [hello, f"{mail} SMTPUTF8", mail, "RCPT TO:<bücher@example.org>"]),
        (asks, "good", [hello, mail, "RCPT TO:<postmaster>", "DATA"]),
        (asks, "good", [hello, "MAIL FROM:<ann@host>", rcpt_to, _BDAT, mail]),
        (asks, "good", [f"{hello}.", mail, rcpt_to]),
        (asks, _ANOTHER_TO_POSTFIX, [hello, mail, rcpt_to]),
        (asks, "parked", [hello, mail, rcpt_to]),
        (asks, "refused-by-list", [hello, mail, rcpt_to]),
        (refuses, "good", [hello, _BDAT, mail]),
        (backup, "good", [hello, mail, "RCPT TO:<you@fails.example>"]),
    ]
    for number, (rules, client, lines) in enumerate(dialogs):
        yield Session(rules, number, client, [Step((line,)) for line in lines])


def draw_rule_lists(seed: int, count: int, known: frozenset[str]) -> Iterator[RuleLists]:
    """Lists that smtpgate takes: what it refuses to load cannot be compared. known: the names that Postfix knows."""
    names = sorted(name for name in known if name not in NOT_DRAWN and (name in ARGUMENTS or not _needs_one(name)))
    source = random.Random(f"lists {seed}")
    deck: list[str] = []
    number = 0
    while number < count:
        lists = {phase: _draw_list(source, names, deck) for phase in _PARAMETERS}
        lists["rcpt"].insert(source.randrange(len(lists["rcpt"]) + 1), _GUARD)
        # Every family of addresses, and both orders of answers.
        drawn = RuleLists(number, source.random() < 0.7, lists, 6 if number % 5 == 4 else 4)
        if _is_accepted(drawn):
            yield drawn
            number += 1


def _draw_list(source: random.Random, names: list[str], deck: list[str]) -> list[str]:
    """A list of rules. deck: of names yet to be drawn before any is drawn again."""
    rules = []
    for _ in range(source.randrange(_MOST_RULES)):
        if not deck:
            deck += source.sample(names, len(names))
        name = deck.pop()
        if name in _UNCONDITIONAL and source.random() < 0.3:
            continue
        warning = "warn_if_reject " if source.random() < _WARNING else ""
        rules.append(warning + (f"{name} {source.choice(ARGUMENTS[name])}" if name in ARGUMENTS else name))
        if name in _UNCONDITIONAL and not warning:  # nothing may stand behind it
            break
    return rules


def _needs_one(name: str) -> bool:
    options = REGISTRY[name].options
    return options is not None and any(field.default is dataclasses.MISSING for field in dataclasses.fields(options))


def _is_accepted(drawn: RuleLists) -> bool:
    base = '[[listener]]\naddress = "127.0.0.1:25"\n[relay]\nurl = "smtp://127.0.0.1:26"\n[server]\n'
    try:
        load(f'{base}relay_domains = ["example.org"]\n{drawn.toml}', REGISTRY)
    except ConfigErrors:
        return False
    return True


def draw_sessions(seed: int, rules: RuleLists, count: int) -> Iterator[Session]:
    """What clients of the lists' family do."""
    clients = sorted(
        client
        for client, address in CLIENTS.items()
        if (":" in address) == (rules.family == 6) and client != _ANOTHER_TO_POSTFIX
    )
    for number in range(count):
        source = random.Random(f"session {seed} {rules.number} {number}")
        session = Session(rules, number, source.choice(clients))
        session.steps = _Talk(source).steps
        yield session


class _Talk:
    """A dialog that is being drawn. pipelining: the client sends a transaction's commands in one piece."""

    def __init__(self, source: random.Random) -> None:
        self.steps: list[Step] = []
        self._source = source
        self._esmtp = True
        if not self._seldom(0.04):
            self._greet()
        for _ in range(source.choice((1, 1, 2))):
            if self._seldom(0.15):
                self._odd_command()
            self._transaction()
            if self._seldom(0.1):
                self._greet()
        self._say("QUIT")

    def _seldom(self, probability: float) -> bool:
        return self._source.random() < probability

    def _say(self, *lines: str) -> None:
        self.steps.append(Step(lines))

    def _greet(self) -> None:
        self._esmtp = not self._seldom(0.15)
        greeting = f"{'EHLO' if self._esmtp else 'HELO'} {self._source.choice(HELO_NAMES)}"
        if self._seldom(0.06):
            self._say(greeting, "NOOP")  # which it may not send ahead
        else:
            self._say(greeting)

    def _transaction(self) -> None:
        source = self._source
        commands = [self._mail()]
        commands += [f"RCPT TO:<{source.choice(RECIPIENTS)}>" for _ in range(source.choice((1, 1, 1, 2, 3)))]
        end = source.choice(("DATA", "DATA", "DATA", "BDAT", "RSET", ""))
        if end == "BDAT":
            # Pipelined or not, the content stands behind it whatever becomes of the command.
            self._group(commands)
            self._say(_BDAT)
            return
        if end:
            commands.append(end)
        self._group(commands)

    def _mail(self) -> str:
        sender = self._source.choice(SENDERS)
        command = f"MAIL FROM:<{sender}>"
        if self._esmtp:
            command += self._source.choice(("", "", "", " SIZE=1000", " BODY=8BITMIME", " SIZE=99999999999"))
            if not sender.isascii() or self._seldom(0.1):
                command += " SMTPUTF8"
        return command

    def _group(self, commands: list[str]) -> None:
        if self._seldom(0.3) and (self._esmtp or self._seldom(0.2)):
            self._say(*commands)
        else:
            for command in commands:
                self._say(command)

    def _odd_command(self) -> None:
        odd = (
            "NOOP", "RSET", "VRFY you", "EXPN you", "HELP", "NONSENSE", "DATA", "RCPT TO:<you@example.org>", "MAIL",
            "RCPT",
            "MAIL FROM:ann@good.example", "MAIL FROM:<ann@good.example> NONSENSE=1", "MAIL FROM: <ann@good.example>",
            "MAIL FROM:<ann@good..example>", "MAIL FROM:<@good.example>", "MAIL FROM:<ann@>", "HELO", "EHLO", "ETRN",
            "MAIL TO:<ann@good.example>", "RSET now", "NOOP now", "DATA now", "QUIT now", "STARTTLS",
            "MAIL FROM:<ann@good.example> SIZE=x", "MAIL FROM:<ann@good.example> BODY=x",
        )  # fmt: skip
        self._say(self._source.choice(odd))
