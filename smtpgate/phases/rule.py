"""A check as the registry names it, and a rule: a check as configured at one place of one phase."""

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from smtpgate.phases.context import Context
from smtpgate.phases.facts import Transaction
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.subject import Subject
from smtpgate.phases.verdict import Verdict
from smtpgate.values import Parser

Check = Callable[[Transaction, Context], Awaitable[Verdict]]
OnError = Literal["defer", "permit", "skip"]
Mode = Literal["enforce", "warn", "shadow"]


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A row of the registry: what the engine and the configuration must know about a check.

    name: as in main.cf.
    check: the function; it takes (transaction, context) and, if `options` is given, an instance of that dataclass.
    input: what must be known before it can be asked, and how long its answer holds.
    lookup: it asks the outside (DNS), so it is started early and has a deadline.
    effects: it writes or counts, so it runs only when reached.
    memo: False if its answer may change while its input stays the same.
    terminal: it always ends the list.
    guard: it refuses mail for domains that are not ours (a relay guard).
    follows_list: it looks at all that is known in the list that it stands in: `input` is only where that begins.
    own_deadline: it keeps a deadline of its own, which its options set; the engine's does not hold for it.
    ours_only: it is not asked about a recipient that is not ours: its permit must not be a stranger's leave to relay.
    on_error: what a failure inside it means, unless the rule says otherwise.
    score: it gives points to the score, or it asks for those that were given before it.
    subject: what the rules speak of that its table names; "list": it speaks of what the list is about that it stands
    in, or the table that names it, and is given that as `subject`.
    """

    name: str
    check: Callable[..., Awaitable[Verdict]]
    input: Input
    options: type[Any] | None = None
    lookup: bool = False
    effects: bool = False
    memo: bool = True
    terminal: bool = False
    guard: bool = False
    follows_list: bool = False
    own_deadline: bool = False
    ours_only: bool = False
    on_error: OnError = "defer"
    score: Literal["gives", "asks"] | None = None
    subject: Subject | Literal["list"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A check with its options bound, at one place of one phase's list.

    text: as the administrator wrote it. options: those that the check is bound to, None if it takes none. policy: whose
    list it is, "" for everybody's. shadow: nothing that it says counts. warns: its refusals are only recorded, and
    whatever else it says counts (Postfix: warn_if_reject). key: rules that have the same one have the same answer, and
    share it. for_some: there are recipients that it is not asked about. is_cheap: it answers from the facts alone,
    without waiting for anything. starts_early: asking it ahead of its turn saves time and does no harm.
    """

    spec: CheckSpec
    check: Check
    text: str
    phase: Phase
    mode: Mode = "enforce"
    on_error: OnError = "defer"
    options: Any = None
    policy: str = ""
    shadow: bool = dataclasses.field(init=False, repr=False)
    warns: bool = dataclasses.field(init=False, repr=False)
    key: Any = dataclasses.field(init=False, repr=False)
    for_some: bool = dataclasses.field(init=False, repr=False)
    is_cheap: bool = dataclasses.field(init=False, repr=False)
    starts_early: bool = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shadow", self.mode == "shadow")
        object.__setattr__(self, "warns", self.mode == "warn")
        object.__setattr__(self, "for_some", self.spec.ours_only or self.spec.input is Input.RECIPIENT)
        object.__setattr__(self, "is_cheap", not self.spec.lookup and not self.spec.effects)
        object.__setattr__(self, "starts_early", self.spec.lookup and not self.spec.effects and self.spec.memo)
        # What has effects may also depend on the command that is answered.
        asked_in = self.phase if self.spec.effects else None
        object.__setattr__(self, "key", (self.check, self.on_error, self.spec.input, asked_in))


def option(parse: Parser, default: Any = dataclasses.MISSING, help: str = "", *, argument: bool = False) -> Any:
    """A field of a check's options dataclass.

    parse: turns the configured value into the typed one, raising ValueError("what was expected"). default: as the
    administrator would write it; without one the option is required. argument: it is written behind the rule's
    name ("reject_rbl_client zen.example.org"), as Postfix does.
    """
    metadata = {"parse": parse, "written_default": default, "help": help, "argument": argument}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=parse(default), metadata=metadata)
