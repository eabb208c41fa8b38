"""What in a configuration is legal and probably not meant (warnings), and what is only good to know (notes)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smtpgate.config.errors import ConfigError
from smtpgate.config.placed import Placed
from smtpgate.config.relaying import Leak, RelayWalk, is_guard
from smtpgate.config.table_keys import unreachable_keys
from smtpgate.dnsbl.dead import death_of
from smtpgate.dnsbl.documented import documented
from smtpgate.dnsbl.listing import DnsList, lists_in
from smtpgate.phases.named_rules import named_by_tables
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import Rule
from smtpgate.phases.verdict import Action
from smtpgate.tables.indexed import Static

_BEFORE_RCPT = (Phase.CLIENT, Phase.HELO, Phase.MAIL)
_PERMIT_OURS = ("permit_auth_destination", "permit_mx_backup")
_DESTINATION = ("reject_unauth_destination", "defer_unauth_destination")
# How much a rule does, the most first.
_DOES = ("enforce", "warn", "shadow")


@dataclass(frozen=True, slots=True)
class _List:
    """One list. where: how messages call it."""

    phase: Phase
    where: str
    rules: Sequence[Placed]


class Lint:
    """What is said about lists, each remark once, however often a class is used.

    file: the configuration's. walk: looks for strangers who could relay.
    """

    def __init__(self, file: str, walk: RelayWalk) -> None:
        self._file = file
        self._walk = walk
        self._guards: list[str] = []
        self._rules: list[tuple[str, Placed]] = []
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigError] = []
        self.notes: list[ConfigError] = []

    @property
    def guards(self) -> tuple[str, ...]:
        """What stops every stranger, whatever the recipient; empty if that could not be shown."""
        return tuple(dict.fromkeys(self._guards)) if all(self._guards) else ()

    def look_at(self, phase: Phase, where: str, rules: Sequence[Placed]) -> None:
        """Look at a list. where: how messages call it."""
        one = _List(phase, where, rules)
        self._rules += [(where, placed) for placed in rules]
        for placed in rules:
            self._dns_lists(one, placed)
            self._code(one, placed)
            self._service(one, placed)
        self._unreachable(one)
        self._order(one)

    def tables(self, *, dotted: bool) -> None:
        """Look at the tables of all rules. dotted: parent domains are looked up as ".example.org"."""
        self.warnings += unreachable_keys(self._rules, self._file, dotted=dotted)

    def relaying(self, section: str, lists: Mapping[Phase, Sequence[Placed]]) -> None:
        """Look for a stranger who could relay. lists: those of all phases that hold for some recipients."""
        stopped = next(filter(None, (self._stop(lists[phase]) for phase in _BEFORE_RCPT)), None)
        is_proven = True
        for placed in lists[Phase.RCPT]:
            if is_guard(placed.rule):
                stopped = stopped or placed
                break
            if placed.rule.spec.name == "greylist" and stopped is None:
                problem = f"{placed.rule.text} stands before the relay guard: it remembers mail that is refused anyway"
                self._add(self.warnings, f"{section} rcpt", placed, problem, "put it at the end of the list")
            leak = self._walk.leak(placed.rule)
            if leak is not None and stopped is None:
                is_proven = False
                self._relay(section, placed, leak)
        self._guards.append(f"{stopped.rule.text} in line {stopped.line}" if stopped and is_proven else "")

    def _stop(self, rules: Sequence[Placed]) -> Placed | None:
        """The rule that refuses every stranger, whatever he says."""
        for placed in rules:
            if is_guard(placed.rule) and placed.rule.spec.terminal:
                return placed
            if self._walk.leak(placed.rule):
                break
        return None

    def _relay(self, section: str, placed: Placed, leak: Leak) -> None:
        name = placed.rule.spec.name
        result = "and makes an open relay" if leak.is_open else "and lets mail through it"
        problem = f"{placed.rule.text} stands before the relay guard {result}: {leak.session}: {leak.why}"
        hint = 'put it behind "reject_unauth_destination"'
        if name.endswith("_access"):
            hint += ", or write DUNNO in place of OK"
        self._add(self.errors if leak.is_open else self.warnings, f"{section} rcpt", placed, problem, hint)

    def _add(self, to: list[ConfigError], where: str, placed: Placed, problem: str, hint: str = "") -> None:
        remark = ConfigError(self._file, placed.line, where, problem, hint=hint)
        if all((remark.line, remark.problem) != (other.line, other.problem) for other in to):
            to.append(remark)

    def _dns_lists(self, one: _List, placed: Placed) -> None:
        """Lists that are no more, and those whose answers mean several things."""
        for rule in (placed.rule, *named_by_tables([placed.rule])):
            permits = rule.spec.name.startswith("permit")
            for listing, weight in lists_in(rule.options):
                if death := death_of(listing.zone):
                    problem = f"{rule.text}: {listing.public_name} is no more, since {death.when}: see {death.source}"
                    self._add(self.warnings, one.where, placed, problem)
                elif problem := _filter_problem(listing, permits=permits or weight < 0):
                    self._add(self.warnings, one.where, placed, f"{rule.text}: {problem}")

    def _code(self, one: _List, placed: Placed) -> None:
        """Refusals that are not for good."""
        rule = placed.rule
        if rule.mode == "enforce" and rule.spec.score is None and getattr(rule.options, "code", None) == 450:
            problem = f"{rule.text} answers 450, and clients try again for days"
            self._add(self.notes, one.where, placed, problem, "when its record is clean, code = 550 refuses for good")

    def _service(self, one: _List, placed: Placed) -> None:
        """Sockets whose place depends on where the server was started."""
        service = getattr(placed.rule.options, "service", None)
        if service is not None and service.path and not service.path.startswith("/"):
            problem = f"{service} is looked for where smtpgate is started"
            hint = f'Postfix looks in its queue_directory: "unix:/var/spool/postfix/{service.path}"'
            self._add(self.warnings, one.where, placed, problem, hint)

    def _unreachable(self, one: _List) -> None:
        """Rules behind what always ends their list, and rules whose answer is known already."""
        end: Placed | None = None
        guarded = False
        seen: dict[object, Placed] = {}
        for placed in one.rules:
            rule = placed.rule
            if end is not None:
                problem = f"{rule.text} is never reached: {end.rule.text} in line {end.line} always ends this list"
                self._add(self.warnings, one.where, placed, problem)
                continue
            first = seen.get(rule.key)
            is_stronger = first is None or _DOES.index(rule.mode) < _DOES.index(first.rule.mode)
            if first is not None and not is_stronger and rule.spec.memo and not rule.spec.score:
                problem = f"{rule.text} changes nothing: it was asked in line {first.line}"
                self._add(self.notes, one.where, placed, problem, "leave it out, or leave it out of its class")
            elif is_stronger:
                seen[rule.key] = placed
            if _always_ends(rule, guarded=guarded and one.phase is Phase.RCPT):
                end = placed
            guarded = guarded or (rule.spec.name in _DESTINATION and rule.mode == "enforce")

    def _order(self, one: _List) -> None:
        """Rules that cost more, or make clients wait longer, in this place than in another."""
        dear: list[Placed] = []
        slow: Placed | None = None
        for placed in one.rules:
            rule = placed.rule
            if rule.mode != "enforce" or rule.spec.score:
                continue
            if slow is not None and _waits_its_turn(rule):
                problem = f"{rule.text} is asked when {slow.rule.text} in line {slow.line} has answered"
                self._add(self.notes, one.where, placed, problem, "neither can be asked early: clients wait for both")
            if _waits_its_turn(rule):
                slow = placed
            if not rule.spec.name.startswith("reject_"):
                dear = []  # what may permit cannot be passed
            elif rule.spec.lookup or rule.spec.effects:
                dear.append(placed)
            else:
                costly = next((other for other in dear if _is_spared(other.rule, rule)), None)
                if costly is not None:
                    problem = f"{rule.text} asks nobody, and stands behind {costly.rule.text} in line {costly.line}"
                    self._add(
                        self.notes, one.where, placed, problem, "in front of it, what it refuses costs no look-up"
                    )


def _always_ends(rule: Rule, *, guarded: bool) -> bool:
    """Whether no rule behind it is asked. guarded: the recipient is ours, or was refused."""
    if rule.shadow or rule.spec.score:
        return False
    if rule.spec.terminal or (guarded and rule.spec.name in _PERMIT_OURS):
        return True
    if rule.spec.name != "check_client_access" or not isinstance(rule.options.table.table.content, Static):
        return False
    result, _ = rule.options.table.read(rule.options.table.table.content.entries[0].result)
    return result.action is Action.PERMIT or (result.action in (Action.REJECT, Action.DEFER) and not rule.warns)


def _is_spared(dear: Rule, cheap: Rule) -> bool:
    """Whether a look-up would not be made if a cheap refusal stood before it: it starts when its input is known."""
    return dear.spec.effects or cheap.spec.input <= dear.spec.input


def _waits_its_turn(rule: Rule) -> bool:
    """Whether it asks somebody far away, and only when it is reached."""
    return rule.spec.effects and rule.spec.name not in ("greylist", "sleep")


def _filter_problem(listing: DnsList, *, permits: bool) -> str:
    """What is wrong with the answers that count; "" if nothing is."""
    known = documented(listing.zone)
    if known is None:
        return ""
    wanted = known.permits if permits else known.blocks
    write = f'write "{listing.public_name}={wanted}"; see {known.source}' if wanted else f"see {known.source}"
    if not wanted:
        return f"it is a list {'of those who are refused' if permits else 'of those who are let in'}: {write}"
    if listing.codes is None:
        return f"its answers mean different things, {known.meanings}: {write}" if known.meanings else ""
    return "" if known.fits(listing) else f"it gives none of these answers, but {known.codes}: {write}"
