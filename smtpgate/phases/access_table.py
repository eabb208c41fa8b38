"""An access table as checks use it: keys in, what access(5) makes of them out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from smtpgate.phases.access_result import AccessResult, parse_result
from smtpgate.phases.context import Context
from smtpgate.phases.message_action import Deed
from smtpgate.phases.phase import Phase
from smtpgate.phases.rule import Mode, Rule
from smtpgate.phases.subject import Subject
from smtpgate.phases.verdict import Action
from smtpgate.tables.files import FILE_TYPES, Stamp, TableFile
from smtpgate.tables.indexed import Indexed
from smtpgate.tables.keys import Key
from smtpgate.tables.source import Entry, Problem, Table

# Results that are kept ready. Those of expressions can be as many as strangers have addresses.
_MOST_READY = 1000
_STORED_NAME_LENGTH = 64
_SHORT = 30


@dataclass(frozen=True, slots=True)
class TableReference:
    """A table by its name, as it stands behind a rule: "hash:/etc/postfix/access", "store:friends", or the name of one
    in [tables]. permits: whether it may say OK.
    """

    kind: str
    name: str
    permits: bool = True

    @property
    def public_text(self) -> str:
        """As written."""
        return f"{self.kind}:{self.name}" if self.kind else self.name

    @property
    def file(self) -> TableFile | None:
        """The file that it means."""
        return TableFile(self.kind, self.name) if self.kind in FILE_TYPES else None


class AccessTable:
    """A table that several rules may use.

    name: as written. file: where it comes from, and stamp what it was like then. stored: its name in the store, where
    content is empty. uses: by those who use it.
    """

    def __init__(
        self,
        name: str,
        content: Table,
        *,
        file: TableFile | None = None,
        stamp: Stamp | None = None,
        stored: str | None = None,
    ) -> None:
        self.name = name
        self.content = content
        self.file = file
        self.stamp = stamp
        self.stored = stored
        self.uses: dict[Place, TableUse] = {}

    def problems(self, content: Table) -> list[Problem]:
        """What in a content for it cannot be done where it is used."""
        return [problem for use in list(self.uses.values()) for problem in use.problems(content)]


class Found(NamedTuple):
    """What a key leads to. rules: those to ask in its place."""

    key: str
    result: AccessResult
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table's results take effect.

    mode: of the rule that asks, and of those that its results name. permits: whether it may say OK; not where strangers
    write the names that are looked up. in_transaction: there is a message for it to do something with. subject: what
    the rules that it names speak of; None for what the phase's list is about.
    """

    phase: Phase = Phase.RCPT
    mode: Mode = "enforce"
    permits: bool = True
    in_transaction: bool = True
    subject: Subject | None = None


# Postfix's tables that ask others (DATABASE_README).
_NOT_READ = ("ldap", "memcache", "mongodb", "mysql", "nis", "nisplus", "pgsql", "socketmap", "sqlite", "tcp")

Bind = Callable[[str, Place], tuple[Rule, ...]]


def _no_rules(names: str, place: Place) -> tuple[Rule, ...]:
    raise ValueError(f"unknown result {names[:60]!r}")


class TableUse:
    """A table as one rule uses it. bind: makes rules of their names; raises ValueError."""

    def __init__(self, table: AccessTable, place: Place | None = None, bind: Bind = _no_rules) -> None:
        self.table = table
        self._place = place or Place()
        self._bind = bind
        self._ready: dict[str, tuple[AccessResult, tuple[Rule, ...]]] = {}

    @property
    def public_text(self) -> str:
        """The table as the record names it."""
        return self.table.name

    @property
    def permits(self) -> bool:
        """Whether it may say OK."""
        return self._place.permits

    @property
    def has_names(self) -> bool:
        """Whether a host name may be found in it."""
        return self.table.content.has_names

    async def find(self, keys: Iterable[Key], ctx: Context) -> Found | None:
        """What the first key leads to that is there. Raises ValueError if the store says what cannot be done here, and
        StoreError.
        """
        if self.table.stored is not None:
            return await self._find_stored(self.table.stored, list(keys), ctx)
        content = self.table.content
        for key, whole in keys:
            text = content.find(key, whole)
            if text is not None:
                return self._filled(key, text)
        return None

    def _filled(self, key: str, text: str) -> Found:
        """What a result means into which words of a stranger may have been put.

        Without them it was right: they make no address of it, or no field. As in Postfix, nothing is done then.
        """
        try:
            return Found(key, *self.read(text))
        except ValueError as problem:
            return Found(key, AccessResult(f"not done: {problem}: {text}"), ())

    async def _find_stored(self, name: str, keys: list[Key], ctx: Context) -> Found | None:
        assert ctx.tables is not None
        entries = await ctx.tables.entries(name, [key.text.lower() for key in keys])
        for key, _ in keys:
            text = entries.get(key.lower())
            if text is not None:
                return Found(key, *self.read(text))
        return None

    def read(self, text: str) -> tuple[AccessResult, tuple[Rule, ...]]:
        """A result, and its rules. Raises ValueError if nothing can be done with it in this place."""
        ready = self._ready.get(text)
        if ready is None:
            result = parse_result(text)
            _check_place(result, self._place)
            ready = result, self._bind(result.names, self._place) if result.names else ()
            if len(self._ready) >= _MOST_READY:
                self._ready.clear()
            self._ready[text] = ready
        return ready

    def rules(self) -> list[Rule]:
        """Every rule that its results name."""
        texts = dict.fromkeys(text for _, text in self.table.content.entries)
        return [rule for text in texts for rule in self.read(text)[1]]

    def problems(self, content: Table) -> list[Problem]:
        """What in a content cannot be done in this place."""
        found = []
        for line, text in content.entries:
            try:
                self.read(text)
            except ValueError as error:
                found.append(Problem(line, str(error)))
        return found


def _check_place(result: AccessResult, place: Place) -> None:
    if result.action is Action.PERMIT and not place.permits and result.deed is None:
        raise ValueError(
            f"{result.text.split()[0]} is not allowed for names that strangers choose: use DUNNO to make an exception"
        )
    if result.deed is None:
        return
    if not place.in_transaction:
        raise ValueError(
            f"{result.deed.deed.value} needs a message, and {place.phase.key} is answered before there is one"
        )
    if result.deed.deed is Deed.PREPEND and place.phase is Phase.END_OF_DATA:
        raise ValueError("PREPEND must be asked for before the content has come")


def table_option(value: Any, *, permits: bool = True) -> TableReference | TableUse:
    """A table as the configuration writes it: a name, or the table itself. permits: whether it may say OK."""
    if isinstance(value, Mapping):
        return TableUse(AccessTable(_in_short(value), Indexed(inline_entries(value))), Place(permits=permits))
    if isinstance(value, str) and _names_a_table(value):
        kind, colon, name = value.partition(":")
        return TableReference(kind, name, permits) if colon else TableReference("", value, permits)
    raise ValueError(_expected(value))


def _expected(value: Any) -> str:
    """What a table would be, for whoever wrote something else."""
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "proxy":
        return f'"{name}" itself: nothing here needs a proxy'
    if kind in _NOT_READ:
        return f'a file with its answers such as "hash:/etc/postfix/access", or "store:NAME": no {kind} is asked'
    types = ", ".join(f"{kind}:" for kind in FILE_TYPES)
    return f'a table such as "hash:/etc/postfix/access" ({types}), "store:NAME", "static:ACTION" or a name in [tables]'


def _in_short(table: Mapping[str, Any]) -> str:
    """The beginning of a table that has no name."""
    key, result = next(iter(table.items()), ("", ""))
    first = f"{key[:_SHORT]} = {str(result)[:_SHORT]}"
    return f"{{{first}, …}}" if len(table) > 1 else f"{{{first}}}"


def _names_a_table(value: str) -> bool:
    kind, colon, name = value.partition(":")
    if not colon:
        return bool(value)
    if kind == "store":
        return is_stored_name(name)
    return bool(name) and "\0" not in name and kind in (*FILE_TYPES, "static")


def is_stored_name(name: str) -> bool:
    """Whether a table of the store can be called so."""
    return len(name) <= _STORED_NAME_LENGTH and name.replace("-", "_").isidentifier() and name.isascii()


def inline_entries(table: Mapping[str, Any]) -> dict[str, Entry]:
    """The entries of a table that stands in the configuration. Raises ValueError."""
    for key, result in table.items():
        if not isinstance(result, str) or not key.strip():
            raise ValueError(f'keys with results such as "REJECT", which {key[:60]!r} has not')
    return {key: Entry(0, result) for key, result in table.items()}
