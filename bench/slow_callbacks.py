"""What holds up the event loop: every callback of 20 ms or more, under the shipped rules.

The rules of config.toml are asked twice: as shipped, and with all of them enforced, so that every one is waited for.
Thousands of clients that were never seen before send all kinds of mail; a DNS server answers them late.
"""

import argparse
import asyncio
import json
import re
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

from bench import cpu
from bench.mail import KEY_NAME, Kind, kinds
from bench.name_server import NameServer
from bench.peers import smtp_sink
from bench.ports import free_port
from bench.processes import Unusable, server, workplace
from bench.strangers import Strangers
from bench.watched_server import THRESHOLD

_SHIPPED = Path(__file__).parent.parent / "config.toml"
_DNS_DELAY = 0.005


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--seconds", type=float, default=30, help="for each of the two parts (%(default)s)")
    # asyncio's debug mode is slow: more would measure that.
    parser.add_argument("--sessions", type=int, default=8, help="at one time (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure and print; the status is 1 if a callback was slow of itself."""
    mail, key = kinds()
    blamed = 0
    for part, enforced in (("as shipped", False), ("all rules enforced", True)):
        with workplace() as directory, smtp_sink(directory) as sink:
            print(f"\nThe rules of config.toml, {part}:", flush=True)
            blamed += asyncio.run(_part(args, directory, sink, mail, key, enforced=enforced))
    print(f"\n{'FAILED' if blamed else 'ok'}: {blamed} callbacks took {THRESHOLD * 1000:.0f} ms or more of their own")
    return 1 if blamed else 0


async def _part(
    args: argparse.Namespace, directory: Path, sink: int, mail: list[Kind], key: str, *, enforced: bool
) -> int:
    """Load a server for a while; how many callbacks are to blame."""
    report, config, port = directory / "report.json", directory / "config.toml", free_port()
    sock = _dns_socket()
    address: str = sock.getsockname()[0]
    names = NameServer(sock, _DNS_DELAY, {KEY_NAME: key.encode()})
    config.write_text(_configuration(directory, port, sink, address, enforced=enforced))
    strangers = Strangers(port, mail)
    stolen = cpu.stolen()
    command = [sys.executable, "-m", "bench.watched_server", str(config), str(report)]
    with server(command, port, directory / "server.log"):
        await strangers.send(args.seconds, args.sessions)
    names.close()
    if not report.exists():
        raise Unusable(f"the server did not end well:\n{(directory / 'server.log').read_text()[-2000:]}")
    return _print(json.loads(report.read_text()), strangers, names, cpu.stolen() - stolen)


def _configuration(directory: Path, port: int, sink: int, dns: str, *, enforced: bool) -> str:
    """The shipped configuration, in another place; enforced: no rule in shadow mode."""
    shipped = tomllib.loads(_SHIPPED.read_text())
    shipped["listener"] = [{"address": f"127.0.0.1:{port}"}]
    shipped["relay"] = {"url": f"smtp://127.0.0.1:{sink}"}
    shipped["store"] = {"url": f"sqlite:///{directory}/smtpgate.db"}
    shipped["dns"] = {"nameservers": [dns]}
    for rules in shipped["phases"].values() if enforced else ():
        for rule in rules:
            if isinstance(rule, dict):
                rule["mode"] = "enforce"
                if rule["rule"] == "greylist":
                    rule["delay"] = "0s"  # it is asked, and nobody has to come back
    return "\n".join(f"{section} = {_toml(options)}" for section, options in shipped.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(option)}" for name, option in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _dns_socket() -> socket.socket:
    """A socket on port 53 of an address of this machine where nobody uses it. Raises Unusable."""
    for number in range(1, 20):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        try:
            sock.bind((f"127.53.0.{number}", 53))
        except OSError as error:
            reason = error.strerror
            sock.close()
        else:
            return sock
    raise Unusable(f"no port 53 on loopback for the DNS server: {reason}")


def _print(found: dict[str, Any], strangers: Strangers, names: NameServer, stolen: float) -> int:
    messages = sum(answers.total() for answers in strangers.answers.values())
    print(f"  {messages} messages, each from a new client; {names.asked} DNS questions; {found['turns']} callbacks")
    for kind, answers in strangers.answers.items():
        print(f"    {kind:37}", ", ".join(f"{count} × {answer}" for answer, count in answers.most_common()))
    for warning in found["others"]:
        print(f"  asyncio also says: {warning}")
    guilty = [slow for slow in found["slow"] if slow["own"] >= THRESHOLD]
    print(f"  {len(found['slow'])} entries in asyncio's slow-callback log; {len(guilty)} of them are to blame for it,")
    print(f"  the others waited for a core. The machine itself was held up for {stolen:.1f} s (steal time).")
    for where, slows in _by_place(guilty):
        worst = max(slows, key=lambda slow: float(slow["own"]))
        wall, cpu, collecting, blocked, waited = (
            worst[name] * 1000 for name in ("wall", "cpu", "collecting", "blocked", "waited_for_core")
        )
        print(f"    {len(slows)} × {where}, at worst")
        print(
            f"      {wall:.0f} ms: {cpu:.0f} computing (garbage collector {collecting:.0f}), "
            f"{blocked:.0f} blocked, {waited:.0f} waiting for a core"
        )
        print(f"      {worst['what'][:100]}")
    return len(guilty)


def _by_place(slow: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Slow callbacks by the function in which they were, the most frequent first."""
    places: dict[str, list[dict[str, Any]]] = {}
    for callback in slow:
        places.setdefault(re.sub(r":\d+", "", callback["where"]), []).append(callback)
    return sorted(places.items(), key=lambda place: len(place[1]), reverse=True)
