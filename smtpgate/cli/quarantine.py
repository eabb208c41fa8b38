"""`smtpgate quarantine`: the messages that rules hold."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from smtpgate.cli.age import age
from smtpgate.cli.settings import add_config_option, load_settings, write_as_server
from smtpgate.config.settings import Settings
from smtpgate.content import Content
from smtpgate.quarantine import Quarantine, QuarantineError
from smtpgate.relay.downstream import DownstreamUnavailable, RelayReply
from smtpgate.server.downstream import configured_downstream
from smtpgate.smtp.message_actions import released_envelope

_LONGEST_SHOWN = 64 * 1024


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("quarantine", help="list, show, release or delete messages that rules hold")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_config_option(actions.add_parser("list", help="all of them, oldest first"))
    for action, what in (
        ("show", "print the envelope and the message"),
        ("release", "pass it on to the mail server behind, and forget it"),
        ("delete", "forget it"),
    ):
        chosen = actions.add_parser(action, help=what)
        chosen.add_argument("name", metavar="NAME", help="as `list` prints it")
        add_config_option(chosen)


def run(args: argparse.Namespace) -> int:
    """Do it; status 1 if there is no such message, or the mail server behind does not take it."""
    settings = load_settings(args.config)
    write_as_server(settings.server, Path(settings.server.quarantine))
    quarantine = Quarantine(settings.server.quarantine)
    try:
        match args.action:
            case "list":
                _list(quarantine, settings)
            case "show":
                _show(quarantine, args.name)
            case "delete":
                quarantine.delete(args.name)
            case "release":
                return _release(quarantine, args.name, settings)
    except QuarantineError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # no trouble of the quarantine's: `| head`
        raise
    except OSError as error:
        print(f"smtpgate: {settings.server.quarantine}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _list(quarantine: Quarantine, settings: Settings) -> None:
    """Every message, and how full it is."""
    names = quarantine.names()
    if not os.path.isdir(settings.server.quarantine):
        print(f"smtpgate: nothing was ever held in {os.path.abspath(settings.server.quarantine)}", file=sys.stderr)
    for name in names:
        try:
            with quarantine.taken(name) as (envelope, _):
                print(f"{name}  {_envelope(envelope)}")
        except QuarantineError as error:
            print(f"{name}  ({error})")
    server = settings.server
    print(
        f"{len(names)} held, {_mib(quarantine.used())} of {_mib(server.quarantine_size)};"
        f" deleted after {age(server.quarantine_keep)}"
    )


def _mib(octets: int) -> str:
    return f"{octets / 2**20:.1f} MiB"


def _show(quarantine: Quarantine, name: str) -> None:
    with quarantine.taken(name) as (envelope, file):
        print(_envelope(envelope))
        message = file.read(_LONGEST_SHOWN).decode("utf-8", "backslashreplace")
        print("\n".join(map(_safe, message.split("\r\n"))))
        if file.read(1):
            print("… and more")


def _release(quarantine: Quarantine, name: str, settings: Settings) -> int:
    """Pass a message on; those who have it are not sent it again."""
    with quarantine.taken(name) as (held, file):
        message = file.read()
        answers = asyncio.run(_pass_on(held, message, settings))
        for address, answer in answers:
            print(f"{address}: {_safe(str(answer))}")
        rest = [address for address, answer in answers if not answer.is_positive]
        if not rest:
            quarantine.delete(name)
            return 0
        if len(rest) < len(answers):
            left = [put for put in held["recipients"] if put[0] in rest]
            quarantine.keep(name, {**held, "recipients": left}, [message])
        return 1


async def _pass_on(held: dict[str, Any], message: bytes, settings: Settings) -> list[tuple[str, RelayReply]]:
    """Put a message to the downstream; what it says of each recipient."""
    envelope, recipients = released_envelope(held)
    downstream = configured_downstream(settings)
    try:
        await downstream.learn_extensions()
        # One by one: they may have different routes.
        return [(put[0], await _answer(downstream.begin(envelope), put, message)) for put in recipients]
    finally:
        await downstream.close()


async def _answer(delivery: Any, put: Any, message: bytes) -> RelayReply:
    try:
        answer: RelayReply = await delivery.recipient(*put)
        if not answer.is_positive:
            await delivery.abandon()
            return answer
        return (await delivery.deliver(Content.of(message)))[0]  # type: ignore[no-any-return]
    except DownstreamUnavailable as trouble:
        return RelayReply(451, None, str(trouble))


def _envelope(envelope: dict[str, Any]) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(envelope["at"]))
    to = ", ".join(address for address, *_ in envelope["recipients"])
    reason = f"  ({envelope['reason']})" if envelope["reason"] else ""
    return _safe(f"{at}  ref {envelope['ref']}  from <{envelope['sender']}>  to {to}{reason}")


def _safe(text: str) -> str:
    """Nothing that a terminal would obey: strangers wrote it."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)
