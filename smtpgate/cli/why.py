"""`smtpgate why`: what was decided about a mail, by which rule, and from what it saw."""

import argparse
import ipaddress
import json
import re
import sys

from smtpgate.cli.settings import add_config_option, store_url
from smtpgate.cli.story import tell
from smtpgate.store.greylist import StoreError
from smtpgate.store.lookup import by_address, by_reference
from smtpgate.store.url import database_path

# As somebody reads it out on the telephone: the alphabet has no I, L, O (record.py), so these are 1, 1, 0.
_REFERENCE = re.compile(r"(?:.*\bref\s+|\s*)([0-9A-TV-Z]{8})\)?\s*", re.IGNORECASE | re.DOTALL)
_MISHEARD = str.maketrans("ILO", "110")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("why", help="tell why a mail was accepted or refused")
    parser.add_argument(
        "asked", metavar="REF|ADDRESS", nargs="+", help="a reference, or a sender, recipient or client IP address"
    )
    parser.add_argument("--limit", type=_limit, default=10, metavar="N", help="most records (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="whole records, each a line of JSON")
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the records that were asked for, newest first; status 1 if there are none."""
    asked = " ".join(args.asked)
    path = database_path(store_url(args.config))
    ref = reference(asked)
    try:
        stories = by_reference(path, ref, args.limit) if ref else by_address(path, address(asked), args.limit)
    except StoreError as error:
        print(f"smtpgate: {error}", file=sys.stderr)
        return 1
    if not stories:
        print(_nothing(ref, asked), file=sys.stderr)
        return 1
    if args.json:
        print("\n".join(json.dumps(story) for story in stories))
    else:
        print(f"\n\n{'-' * 78}\n\n".join(tell(story) for story in stories))
    return 0


def reference(asked: str) -> str | None:
    """The reference in what was asked: alone, as "(ref 7QK2M9XA)", or in a whole pasted reply."""
    match = _REFERENCE.fullmatch(asked)
    return match[1].upper().translate(_MISHEARD) if match else None


def address(asked: str) -> str:
    """A mail or IP address as records have it, without brackets."""
    bare = asked.strip().strip("<>[]").removeprefix("IPv6:")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return int(text)


def _nothing(ref: str | None, asked: str) -> str:
    asked = "".join(c if c.isprintable() else "?" for c in asked)
    if ref:
        return (
            f"smtpgate: no record with the reference {ref}.\n"
            "Compare it with the refusal's text, or try the sender's, the recipient's or the client's IP address.\n"
            "Old records are deleted (record.keep), and one is written a moment after the reply."
        )
    return (
        f"smtpgate: no record of {asked}.\n"
        "Give a reference of 8 characters, a whole mail address, or an IP address. Where a mail address is unknown,\n"
        "the client may have been refused before it named one: try its IP address."
    )
