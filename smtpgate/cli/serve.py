"""`smtpgate serve`: the main job."""

import argparse
import logging
import os
import sys

import uvloop

from smtpgate.cli.settings import add_config_option, load_settings, read_settings
from smtpgate.config.settings import Settings
from smtpgate.server.line_output import LineOutput
from smtpgate.server.news import serve_alone
from smtpgate.server.privileges import PrivilegeError, drop_privileges
from smtpgate.server.sockets import ListenError, ListeningSockets
from smtpgate.server.supervisor import Supervisor
from smtpgate.server.systemd import Notifier, passed_sockets, watchdog_interval
from smtpgate.server.worker import Worker, freeze
from smtpgate.store.greylist import StoreError
from smtpgate.store.migrate import upgrade


class _Printable(logging.Formatter):
    """Nothing that a terminal would obey: in some messages there are the words of strangers."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in super().format(record))


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("serve", help="answer on the configured listeners")
    add_config_option(parser)
    parser.add_argument("--examples", action="store_true", help="print commands to try")
    parser.add_argument("--no-fork", action="store_true", help="one process without a supervisor, for debuggers")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_Printable("smtpgate: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[output])
    logging.getLogger("smtpgate.server").setLevel(logging.INFO)
    settings = load_settings(args.config)
    sockets = ListeningSockets(passed_sockets(os.environ))
    try:
        open_sockets = sockets.open(listener.address for listener in settings.listeners)
        drop_privileges(settings.server.user)
    except (ListenError, PrivilegeError) as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    settings = load_settings(args.config, files=True)  # by the user who reads them when they change
    _warn(settings)
    try:
        upgrade(settings.store.url)
    except StoreError as error:
        # The store being away must not keep mail out: its rules are skipped, records wait in memory.
        logging.warning("starting without the store: %s", error)

    def ready() -> None:
        print(_summary(settings), file=sys.stderr)
        if args.examples:
            print(_examples(settings, args.config), file=sys.stderr)

    write_log = LineOutput(sys.stdout.fileno()).write
    if args.no_fork:
        freeze()
        uvloop.run(serve_alone(Worker(settings, open_sockets, write_log), ready))
        return 0
    return Supervisor(
        settings,
        lambda: _warn(read_settings(args.config, files=True)),
        sockets,
        write_log,
        Notifier(os.environ.get("NOTIFY_SOCKET", "")),
        watchdog_interval(os.environ),
        ready,
    ).run()


def _warn(settings: Settings) -> Settings:
    for warning in settings.warnings:
        logging.warning("%s", warning)
    return settings


def _summary(settings: Settings) -> str:
    rules = settings.rules
    shadow = sum(rule.shadow for rule in rules)
    listeners = ", ".join(str(listener.address) for listener in settings.listeners)
    domains = ", ".join(sorted(settings.server.relay_domains)) or "(none: every recipient is refused)"
    return (
        f"smtpgate listens on {listeners}\n"
        f"  mail for      {domains}\n"
        f"  goes to       {', '.join(map(str, settings.relay.url))}\n"
        f"  rules         {len(rules)}, of them {shadow} in shadow mode\n"
        f"  records       {settings.store.url}"
    )


def _own_name() -> str:
    """How this program was called, so that it can be called again."""
    name = sys.argv[0]
    return f"{sys.executable} -m smtpgate" if name.endswith("__main__.py") else name


def _examples(settings: Settings, config: str) -> str:
    listener = settings.listeners[0]
    domain = min(settings.server.relay_domains, default="example.org")
    where = f"{listener.host}:{listener.port}"
    python = (
        'python3 -c \'import smtplib; print(smtplib.SMTP("{host}", {port}).sendmail('
        '"me@example.com", "{to}", "Subject: hello\\n\\nIt works."))\''
    )
    return f"""
Try it, in another terminal:
  accepted      swaks --server {where} --from me@example.com --to you@{domain}
  the same      {python.format(host=listener.host, port=listener.port, to=f"you@{domain}")}
  refused       swaks --server {where} --from me@example.com --to you@elsewhere.example
  and why       {_own_name()} why --config {config} REF    (REF stands in the refusal; an address works too)
Ctrl-C ends it."""
