"""`python -m bench`: the measurements, one command each."""

import argparse
import signal
import sys
from types import FrameType

from bench import compare, connections, hot_spots, idle, kill, large, resolver, restrictions, slow_callbacks
from bench.processes import Unusable


def main() -> int:
    """Run one measurement. Whatever ends it, what it started ends too."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    args = _parser().parse_args()
    try:
        status: int = args.run(args)
        return status
    except Unusable as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    compare.add_options(parser)
    parser.set_defaults(run=compare.run)
    commands = parser.add_subparsers(metavar="COMMAND", title="other measurements")
    others = (
        (restrictions, "restrictions"),
        (slow_callbacks, "slow-callbacks"),
        (hot_spots, "profile"),
        (idle, "idle"),
        (connections, "connections"),
        (large, "large"),
        (kill, "kill"),
        (resolver, "dns"),
    )
    for module, name in others:
        command = commands.add_parser(name, description=module.__doc__, help=(module.__doc__ or "").splitlines()[0])
        module.add_options(command)
        command.set_defaults(run=module.run)
    return parser


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
