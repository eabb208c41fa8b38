"""`smtpgate table`: the access tables of the store."""

import argparse
import sys

from smtpgate.checks.registry import REGISTRY
from smtpgate.cli.settings import add_config_option, load_settings, write_as_server
from smtpgate.config.errors import nearest, quote
from smtpgate.config.postfix import ALIASES
from smtpgate.config.settings import Settings
from smtpgate.config.table_keys import unreachable_key
from smtpgate.phases.access_result import ACTIONS, parse_result
from smtpgate.phases.access_table import AccessTable, is_stored_name
from smtpgate.store.edit import StoredTable
from smtpgate.store.greylist import StoreError
from smtpgate.store.url import database_path
from smtpgate.tables.indexed import Indexed, folded
from smtpgate.tables.source import Entry


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("table", help="look at an access table of the store (store:NAME), or edit it")
    parser.set_defaults(run=run)
    parser.add_argument("name", metavar="NAME", help="the table")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_config_option(actions.add_parser("list", help="print it"))
    for action, what in (("get", "print a key's result"), ("delete", "forget a key")):
        chosen = actions.add_parser(action, help=what)
        chosen.add_argument("key", metavar="KEY")
        add_config_option(chosen)
    chosen = actions.add_parser("set", help="write a key's result")
    chosen.add_argument("key", metavar="KEY")
    chosen.add_argument("result", metavar="RESULT", nargs="+", help='as access(5) has it, such as "REJECT no"')
    add_config_option(chosen)


def run(args: argparse.Namespace) -> int:
    """Do it; status 1 if the key is not there, or the result is nothing that can be done."""
    settings = load_settings(args.config)
    try:
        if not is_stored_name(args.name):
            raise ValueError(f"{args.name[:80]!r} is no name of a table: letters, digits, - and _")
        write_as_server(settings.server, database_path(settings.store.url))
        table = StoredTable(settings.store.url, args.name)
        if args.action == "list":
            entries = table.entries()
            for key, result in entries:
                print(f"{key}\t{result}")
            if not entries:
                print(f"smtpgate: {args.name} has no entries", file=sys.stderr)
            _uses(settings, args.name)
            return 0
        key = folded(args.key)
        if args.action == "set":
            result = " ".join(args.result)
            _check(settings, args.name, key, result)
            table.set(key, result)
            _warn(settings, args.name, key)
            return 0
        found = table.get(key) if args.action == "get" else table.delete(key)
        if found is None:
            raise ValueError(f"{key} is not in {args.name}")
        if args.action == "get":
            print(found)
    except (StoreError, ValueError) as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    return 0


def _check(settings: Settings, name: str, key: str, result: str) -> None:
    """Raise ValueError unless the result can be done wherever the table is asked."""
    if not key.strip():
        raise ValueError("the key is empty")
    uses = _uses(settings, name)
    if not uses:
        _check_name(settings, parse_result(result).names)
    for table in uses:
        for problem in table.problems(Indexed({key: Entry(0, result)})):
            raise ValueError(problem.text)


def _warn(settings: Settings, name: str, key: str) -> None:
    """Say so if no rule that asks the table ever looks the key up, as `config check` does of other tables."""
    dotted = not settings.server.parent_domain_matches_subdomains
    warning = unreachable_key(key, name, settings.rules, dotted=dotted)
    if warning:
        print(f"smtpgate: {warning}", file=sys.stderr)


def _check_name(settings: Settings, names: str) -> None:
    """Raise ValueError unless what stands where an action could be is a rule or a class."""
    known = [*REGISTRY, *ALIASES, "warn_if_reject", *settings.effective.get("classes", {})]
    for name in names.replace(",", " ").split()[:1]:
        if name not in known:
            hint = nearest(name, [*ACTIONS, *known])
            raise ValueError(f"{quote(name)} is neither an action nor a rule nor a class{hint and f': {hint}'}")


def _uses(settings: Settings, name: str) -> list[AccessTable]:
    """The table as rules know it; says so if none does: the name may be misspelt."""
    uses = [table for table in settings.tables if table.stored == name]
    if not uses:
        known = sorted({table.stored for table in settings.tables if table.stored})
        others = f"; rules ask {', '.join(f'store:{one}' for one in known)}" if known else ""
        print(f"smtpgate: no rule asks store:{name}{others}", file=sys.stderr)
    return uses
