"""The lists of rules in [phases]: reads them, binds their checks, and refuses what cannot work or is not safe."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smtpgate.config.classes import Classes, in_mode, split_names
from smtpgate.config.document import Document, Field, written
from smtpgate.config.errors import nearest, quote
from smtpgate.config.lines import Path
from smtpgate.config.list_order import check_guard, check_order, means_guard
from smtpgate.config.placed import Placed
from smtpgate.config.postfix import ALIASES, GONE, NOT_HERE, in_one_string, right_name
from smtpgate.config.tables import TableReader
from smtpgate.config.toml import inline
from smtpgate.phases.access_result import ACTIONS
from smtpgate.phases.access_table import Place, TableReference, TableUse
from smtpgate.phases.phase import DELAYED, FIRST_PHASE, KNOWN_IN, Input, Phase
from smtpgate.phases.rule import Check, CheckSpec, Mode, OnError, Rule, option
from smtpgate.phases.scored import scored, scored_spec
from smtpgate.phases.subject import OF_LIST, Subject, known_from
from smtpgate.values import choice, points

_A_RULE = 'a rule such as "permit_mynetworks" or { rule = "greylist", mode = "shadow" }'

_NEEDS = {
    Input.CLIENT: "the client",
    Input.HELO: "the HELO name",
    Input.SENDER: "the sender",
    Input.RECIPIENT: "the recipient",
    Input.MESSAGE: "the message",
}


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What every rule can be given, whatever its check."""

    mode: Mode = option(
        choice("enforce", "warn", "shadow"),
        "enforce",
        'all are recorded; "shadow" changes nothing, "warn" refuses nothing',
    )
    on_error: str = option(
        choice("defer", "permit", "skip"), "defer", "what a failure inside the rule means; the default is the check's"
    )
    score: int = option(points, 0, "points that its refusal or permission gives to the score, and nothing else happens")


class RuleReader:
    """Reads the lists of all phases of a document.

    delay_reject: CLIENT, HELO and MAIL lists know what RCPT knows, because they are answered there. tables, classes:
    that rules may name; the document's, unless given. permits: whether rules may end their list with a permission.
    subject: what rules speak of that speak of nothing in particular, if it is not what their list is about.
    """

    def __init__(
        self,
        document: Document,
        registry: Mapping[str, CheckSpec],
        *,
        delay_reject: bool,
        tables: TableReader | None = None,
        classes: Classes | None = None,
        permits: bool = True,
        subject: Subject | None = None,
    ) -> None:
        self._document = document
        self._registry = registry
        self._delay_reject = delay_reject
        self._policy = ""
        self._checks: dict[Any, Check] = {}
        self.tables = tables or TableReader(document)
        self._classes = classes or Classes(document, {*registry, *ALIASES})
        self._permits = permits
        self._subject = subject

    def read(self, table: Mapping[str, Any]) -> dict[Phase, list[Placed]]:
        """The rules of every phase; errors are noted in the document."""
        keys = {phase.key: phase for phase in Phase}
        for key in table:
            if key not in keys:
                expected = "one of " + ", ".join(keys)
                self._document.error(("phases", key), "unknown phase", expected, right_name(key, [*keys]))
        return self.read_lists(("phases",), {phase.key: [] for phase in Phase} | dict(table))

    def read_lists(self, path: Path, table: Mapping[str, Any], *, policy: str = "") -> dict[Phase, list[Placed]]:
        """The lists that stand in a table. policy: whose they are."""
        self._policy = policy
        lists = {
            phase: self._list(phase, (*path, phase.key), table[phase.key]) for phase in Phase if phase.key in table
        }
        return {phase: [placed for placed in rules if placed] for phase, rules in lists.items()}

    def _list(self, phase: Phase, path: Path, rules: Any) -> list[Placed | None]:
        """A phase's rules, None for one that could not be read."""
        if not isinstance(rules, list):
            self._document.error(path, f"{quote(rules)} is not a list", "a list of rules")
            return []
        items = [found for index, item in enumerate(rules) for found in self._expand((*path, index), item)]
        placed = [self._rule(phase, place, item) for place, item in items]
        check_order(self._document, [rule for rule in placed if rule])
        unread = [item for (_, item), rule in zip(items, placed, strict=True) if rule is None]
        if phase is Phase.RCPT and not any(means_guard(item, self._registry) for item in unread):
            check_guard(self._document, path, [rule for rule in placed if rule], self._registry)
        return placed

    def bind(self, names: str, place: Place) -> tuple[Rule, ...]:
        """The rules that a table's result names, for the place where it is asked. Raises ValueError."""
        scratch = Document("", self._document.file)
        reader = RuleReader(
            scratch,
            self._registry,
            delay_reject=self._delay_reject,
            tables=self.tables,
            classes=self._classes,
            permits=place.permits,
            subject=place.subject,
        )
        rules = split_names(names, self._most_arguments, [*ACTIONS, *self._registry, *self._classes.names])
        items = [
            (path, in_mode(item, place.mode)) for rule in rules for path, item in reader._expand((), {"rule": rule})
        ]
        placed = [reader._rule(place.phase, path, item) for path, item in items]
        if scratch.errors:
            raise ValueError("; ".join(error.said for error in scratch.errors))
        return tuple(rule.rule for rule in placed if rule)

    def _expand(self, path: Path, item: Any) -> list[tuple[Path, Any]]:
        return self._classes.expand(self._document, path, item)

    def _most_arguments(self, name: str) -> int | None:
        """How many arguments a rule takes; None if it is no rule."""
        if name in self._classes.names or name == "warn_if_reject":
            return 0
        spec = self._registry.get(ALIASES.get(name, name))
        return None if spec is None else sum(field.metadata["argument"] for field in _fields(spec))

    def _rule(self, phase: Phase, path: Path, item: Any) -> Placed | None:
        """One rule: a string as Postfix writes it, or a table with "rule" and options."""
        table = {"rule": item} if isinstance(item, str) else item
        if not isinstance(table, dict) or not isinstance(table.get("rule"), str) or not table["rule"].split():
            self._document.error(path, f"{quote(item)} is no rule", _A_RULE)
            return None
        name, *arguments = table["rule"].split()
        if name == "warn_if_reject":
            return self._warn_if_reject(phase, path, table, arguments)
        name = ALIASES.get(name, name)
        spec = self._registry.get(name)
        if spec is None:
            self._refuse_name(path, [name, *arguments])
            return None
        if not self._permits and name.startswith("permit"):
            self._document.error(path, f"{name} is not allowed for names that strangers choose")
            return None
        given = self._with_arguments(path, spec, arguments, table)
        return self._bind(phase, path, spec, given) if given is not None else None

    def _warn_if_reject(
        self, phase: Phase, path: Path, table: Mapping[str, Any], words: Sequence[str]
    ) -> Placed | None:
        """Postfix's way to write the mode: the rule stands behind it."""
        if not words:
            self._document.error(path, "warn_if_reject stands alone", '"warn_if_reject reject_…", both in one string')
            return None
        if "mode" in table:
            self._document.error(path, "warn_if_reject is a mode already: mode is given twice")
            return None
        return self._rule(phase, path, {**table, "rule": " ".join(words), "mode": "warn"})

    def _refuse_name(self, path: Path, words: Sequence[str]) -> None:
        name = words[0]
        if name in GONE:
            self._document.error(path, f"{name} is no longer Postfix's either", GONE[name])
        elif name in NOT_HERE:
            self._document.error(path, f"{name} is Postfix's, and cannot be here", hint=NOT_HERE[name])
        else:
            hint = in_one_string(words, self._registry) or nearest(name, [*self._registry])
            self._document.error(path, f"unknown rule {quote(name)}", hint=hint)

    def _with_arguments(
        self, path: Path, spec: CheckSpec, arguments: Sequence[str], table: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The rule's options by name: those of the table, and the arguments behind the rule's name."""
        names = [field.name for field in _fields(spec) if field.metadata["argument"]]
        given = {key: value for key, value in table.items() if key != "rule"}
        if len(arguments) > len(names):
            most = {0: "no argument", 1: "one argument"}.get(len(names), f"{len(names)} arguments")
            problem = f"{spec.name} takes {most}: {quote(arguments[len(names)])} is too much"
            self._document.error(path, problem, hint=in_one_string([spec.name, *arguments], self._registry))
            return None
        by_position = dict(zip(names, arguments, strict=False))
        for twice in by_position.keys() & given.keys():
            self._document.error((*path, twice), f"{spec.name}: {twice} is given twice")
            return None
        return {**by_position, **given}

    def _bind(self, phase: Phase, path: Path, spec: CheckSpec, given: Mapping[str, Any]) -> Placed | None:
        """The rule with its options parsed and bound to its check."""
        of_rule, of_check = dataclasses.fields(RuleSettings), _fields(spec)
        known = self._is_known(phase, path, spec)
        values = self._document.read(path, given, [*of_rule, *of_check], spec.name)
        if values is None or not known:
            return None
        mode: Mode = values["mode"]
        options = {field.name: values[field.name] for field in of_check}
        if values["score"] and spec.score is not None:
            self._document.error((*path, "score"), f"{spec.name} cannot give other points", hint="leave it out")
            return None
        subject = (self._subject or OF_LIST[phase]) if spec.subject == "list" else spec.subject
        for name, value in options.items():
            if isinstance(value, (TableReference, TableUse)):
                options[name] = self._table(phase, path, mode, value, subject)
                if options[name] is None:
                    return None
                spec = _asking(spec, options[name])
        bound = spec.options(**options) if spec.options else None
        check = self._check(spec, bound, values["score"], subject)
        if values["score"]:
            spec = scored_spec(spec)
        if mode == "warn":
            spec = dataclasses.replace(spec, guard=False, terminal=spec.terminal and spec.name == "permit")
        on_error: OnError = values["on_error"] if "on_error" in given else spec.on_error
        if spec.follows_list:
            spec = dataclasses.replace(spec, input=self._asked_about(phase))
        elif spec.subject == "list" and subject:
            spec = dataclasses.replace(spec, input=max(spec.input, known_from(subject)))
        rule = Rule(spec, check, _text(spec, given, options), phase, mode, on_error, bound, self._policy)
        effective = {"rule": spec.name, **written(of_check, given), **written(of_rule, given), "on_error": on_error}
        return Placed(rule, path, self._document.line(path), effective)

    def _check(self, spec: CheckSpec, options: Any, score: int, subject: Subject | None) -> Check:
        """The check with its options bound; the same one for the same options, so that rules share its answers."""
        same = self._checks.get((spec.name, options, score, subject))
        if same is not None:
            return same
        given = {"options": options} if spec.options else {}
        if spec.subject == "list":
            given["subject"] = subject
        check = functools.partial(spec.check, **given) if given else spec.check
        if score:
            check = scored(check, spec.name, score)
        self._checks[spec.name, options, score, subject] = check
        return check

    def _table(
        self, phase: Phase, path: Path, mode: Mode, given: TableReference | TableUse, subject: Subject | None
    ) -> TableUse | None:
        """The table that a rule asks, opened for its place."""
        place = Place(
            phase,
            mode,
            permits=self._permits and given.permits,
            in_transaction=self._delay_reject or phase >= Phase.MAIL,
            subject=subject,
        )
        return self.tables.use(self._document, path, given, place, self.bind)

    def _is_known(self, phase: Phase, path: Path, spec: CheckSpec) -> bool:
        """Whether the check's input is known when the list is answered."""
        delayed = self._delay_reject and phase in DELAYED
        if spec.input <= (Input.RECIPIENT if delayed else KNOWN_IN[phase]):
            return True
        first = FIRST_PHASE[spec.input].key
        hint = f"the first phase for it is {first}"
        if phase in DELAYED and spec.input <= Input.RECIPIENT:
            hint += ", or any with delay_reject = true"
        self._document.error(
            path, f"{spec.name} needs {_NEEDS[spec.input]}, which {phase.key} does not know", hint=hint
        )
        return False

    def _asked_about(self, phase: Phase) -> Input:
        """What an answer depends on that may depend on all that is known in a list."""
        if self._delay_reject and phase in DELAYED:
            return Input.RECIPIENT
        # DATA has no recipient if there were several, and is asked all the same.
        return Input.SENDER if phase is Phase.DATA else KNOWN_IN[phase]


def _asking(spec: CheckSpec, use: TableUse) -> CheckSpec:
    """The row of a check that asks a table: one in the store is waited for."""
    return dataclasses.replace(spec, lookup=True) if use.table.stored else spec


def _fields(spec: CheckSpec) -> tuple[Field, ...]:
    return dataclasses.fields(spec.options) if spec.options else ()


def _text(spec: CheckSpec, given: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The rule in one line for people: its name, its arguments, and what differs from the defaults."""
    words = [spec.name]
    for field in _fields(spec):
        if field.name in given and options[field.name] != field.default:
            value = inline(given[field.name])
            bare = isinstance(given[field.name], str) and value == f'"{given[field.name]}"' and " " not in value
            value = given[field.name] if bare else value
            # An option that may hold a secret says itself how it is shown.
            value = getattr(options[field.name], "public_text", value)
            words.append(value if field.metadata["argument"] else f"{field.name}={value}")
    if given.get("score"):
        words.append(f"score={given['score']}")
    return " ".join(words)
