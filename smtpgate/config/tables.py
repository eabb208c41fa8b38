"""Access tables that rules name: files, sections of the configuration, tables of the store."""

from smtpgate.config.document import Document
from smtpgate.config.errors import ConfigError, nearest, quote
from smtpgate.config.lines import Path
from smtpgate.phases.access_table import AccessTable, Bind, Place, TableReference, TableUse, inline_entries
from smtpgate.tables.files import TableFile
from smtpgate.tables.indexed import Indexed, Static
from smtpgate.tables.source import Problem

_MADE_BY_POSTMAP = (".db", ".lmdb", ".cdb")


class TableReader:
    """Reads tables, each once. warnings: what in them is legal and cannot be meant."""

    def __init__(self, document: Document) -> None:
        self.warnings: list[ConfigError] = []
        self._document = document
        self._tables: dict[TableReference, AccessTable] = {}
        self._named = document.table("tables")

    @property
    def tables(self) -> tuple[AccessTable, ...]:
        """All tables that rules use, but those that stand inside of a rule."""
        return tuple(self._tables.values())

    def use(
        self, document: Document, path: Path, given: TableReference | TableUse, place: Place, bind: Bind
    ) -> TableUse | None:
        """A table as a rule at this place uses it; None, and errors noted, if it is not right."""
        if isinstance(given, TableUse):
            # A default is the same for every rule and configuration: each has a table of its own.
            own = AccessTable(given.table.name, given.table.content)
            return self._checked(document, path, own, place, bind)
        reference = TableReference(given.kind, given.name)
        table = self._tables.get(reference) or self._open(document, path, reference)
        if table is None:
            return None
        self._tables[reference] = table
        # Rules that lead to themselves through a table find it in use already.
        return table.uses.get(place) or self._checked(document, path, table, place, bind)

    def check_unused(self) -> None:
        """Note what is wrong with sections that no rule names."""
        for name in self._named:
            if TableReference("", name) not in self._tables:
                self._open(self._document, ("tables", name), TableReference("", name))
                problem = ConfigError(
                    self._document.file, self._document.line(("tables", name)), f"[tables] {name}", "no rule uses it"
                )
                self.warnings.append(problem)

    def _checked(self, document: Document, path: Path, table: AccessTable, place: Place, bind: Bind) -> TableUse | None:
        use = table.uses[place] = TableUse(table, place, bind)
        for problem in use.problems(table.content):
            self._note(document, path, table, problem)
        return use

    def _note(self, document: Document, path: Path, table: AccessTable, problem: Problem) -> None:
        """Note what is wrong with a result, where it stands."""
        if table.file is not None:
            document.errors.append(ConfigError(table.file.path, problem.line, "", problem.text))
        elif problem.line:  # of a section: see _section()
            document.errors.append(ConfigError(document.file, problem.line, f"[tables] {table.name}", problem.text))
        else:
            document.error(path, f"{table.name}: {problem.text}")

    def _open(self, document: Document, path: Path, reference: TableReference) -> AccessTable | None:
        name = reference.public_text
        match reference.kind:
            case "":
                return self._section(document, path, name)
            case "store":
                return AccessTable(name, Indexed({}), stored=reference.name)
            case "static":
                return AccessTable(name, Static(reference.name))
        return self._file(document, path, TableFile(reference.kind, reference.name))

    def _section(self, document: Document, path: Path, name: str) -> AccessTable | None:
        """A table of [tables]."""
        table = self._named.get(name)
        if table is None:
            missing = f"write its type before it, such as hash:{name}" if "/" in name else f"write [tables.{name}]"
            hint = nearest(name, [*self._named]) or missing
            document.error(path, f"there is no table {quote(name)}", hint=hint)
            return None
        where = ("tables", name)
        try:
            if not isinstance(table, dict):
                raise ValueError('a section of keys with results such as "REJECT"')
            entries = inline_entries(table)
        except ValueError as error:
            self._document.error(where, f"{name} is not right", str(error))
            return None
        lines = {key: self._document.line((*where, key)) or 0 for key in entries}
        return AccessTable(name, Indexed({key: entry._replace(line=lines[key]) for key, entry in entries.items()}))

    def _file(self, document: Document, path: Path, file: TableFile) -> AccessTable | None:
        stamp = file.stamp()
        try:
            read = file.read()
        except FileNotFoundError:
            hint = "" if file.path.startswith("/") else "relative paths begin where smtpgate is started"
            document.error(path, f"{file}: there is no such file", hint=hint)
            return None
        except (OSError, ValueError) as error:
            hint = "name the text that postmap(1) made it of" if file.path.endswith(_MADE_BY_POSTMAP) else ""
            document.error(path, f"{file}: it cannot be read: {getattr(error, 'strerror', None) or error}", hint=hint)
            return None
        document.errors += [ConfigError(file.path, line, "", problem) for line, problem in read.problems]
        self.warnings += [ConfigError(file.path, line, "", problem) for line, problem in read.warnings]
        return AccessTable(str(file), read.table, file=file, stamp=stamp)
