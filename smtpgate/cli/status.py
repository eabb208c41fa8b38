"""`smtpgate status`: how a running server is."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from smtpgate.cli.age import age
from smtpgate.cli.settings import add_config_option, server_section
from smtpgate.server.control import ControlError, ask

_ANSWER_WITHIN = 10.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("status", help="tell how a running server is")
    parser.add_argument("--json", action="store_true", help="all of it, as JSON")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it; status 1 if no server answers, or one of its workers is stuck."""
    try:
        status = ask(server_section(args.config).control, "status", _ANSWER_WITHIN)
    except ControlError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    print(json.dumps(status, indent=2) if args.json else "\n".join(_lines(status)))
    return int(any(worker["state"] == "stuck" for worker in status["workers"]))


def _lines(status: dict[str, Any]) -> Iterator[str]:
    workers, totals, records = status["workers"], status["totals"], status["records"]
    yield f"smtpgate {status['version']} (pid {status['pid']}), up for {age(status['uptime'])}"
    yield f"  listens on      {', '.join(status['listeners'])}"
    yield from _certificate(status["certificate"])
    yield f"  configuration   in force for {age(status['configuration_age'])}"
    yield f"  transactions    {', '.join(f'{count} {outcome}' for outcome, count in totals.items()) or 'none yet'}"
    yield f"  messages        {status['messages_per_second']:.1f} a second accepted in the last minute"
    yield f"  records         {records['waiting']} wait for the store, {records['dropped']} were dropped"
    yield from (f"  {label:<15} {text}" for label, text in _dns(status["dns"]))
    for server in status["downstream"]:
        yield f"  downstream      {_downstream(server)}"
    for trouble in status["troubles"]:
        yield f"  trouble         {trouble['what']}: {trouble['why']}; last {age(trouble['seconds'])} ago"
    yield f"  workers         {len(workers)}, {status['crashes']} ended unexpectedly so far"
    yield ""
    yield f"  {'pid':>7}  {'state':<8}  {'age':>6}  {'sessions':>8}  {'in mail':>7}  {'messages/s':>10}  {'memory':>8}"
    for worker in workers:
        memory = "-" if worker["memory"] is None else f"{worker['memory'] / 2**20:.0f} MiB"
        yield (
            f"  {worker['pid']:>7}  {worker['state']:<8}  {age(worker['age']):>6}  {worker['sessions']:>8}"
            f"  {worker['transactions']:>7}  {worker['messages_per_second']:>10.1f}  {memory:>8}"
        )


def _dns(dns: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the look-ups came to, and a line for each name server."""
    questions = dns["asked"] + dns["shared"] + dns["from_memory"]
    yield "DNS", f"{questions} questions, {dns['from_memory']} answered from memory, which holds {dns['kept']} answers"
    if dns["outcomes"]:
        yield "", ", ".join(f"{count} {outcome}" for outcome, count in dns["outcomes"].items())
    for server in dns["servers"]:
        yield "name server", _name_server(server)


def _name_server(server: dict[str, Any]) -> str:
    """How it answers, and what is wrong with it, if anything is."""
    told = [f"{server['answered']} answers"]
    if server["mean_ms"] is not None:
        told.append(f"{server['mean_ms']:.1f} ms on average, 95 % within {server['p95_ms']:.1f} ms")
    troubles = {
        "timeouts": "time-outs",
        "repeated": "repeated",
        "tcp": "over TCP",
        "errors": "errors",
        "useless": "useless",
    }
    told += [f"{server[key]} {word}" for key, word in troubles.items() if server[key]]
    aside = f": does not answer in {server['aside']} of {server['workers']} workers; " if server["aside"] else ": "
    return f"{server['name']}{aside}{', '.join(told)}"


def _certificate(certificate: dict[str, Any] | None) -> Iterator[str]:
    if certificate is None:
        return
    if certificate["trouble"]:
        yield f"  certificate     WARNING: {certificate['file']}: {certificate['trouble']}"
    else:
        yield f"  certificate     good until {datetime.fromtimestamp(certificate['expires'], UTC):%Y-%m-%d}"


def _downstream(server: dict[str, Any]) -> str:
    """A server, and what is wrong with it, if anything is."""
    taken = f"{server['delivered']} messages taken, {server['busy']} connections busy, {server['idle']} idle"
    if set(server["state"]) == {"up"}:
        return f"{server['name']}: up, {taken}"
    workers = sum(server["state"].values())
    down = workers - server["state"].get("up", 0)
    where = f" in {down} of {workers} workers" if down < workers else ""
    return f"{server['name']}: put aside{where} for {age(server['seconds'])}: {server['last_error']}; {taken}"
