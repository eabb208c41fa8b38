"""A network of its own for a process and all that it starts: loopback alone, and a name server of its choice."""

import ctypes
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.processes import Unusable, require

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000  # <linux/sched.h>


def enter(directory: Path, nameserver: str, addresses: Iterable[str] = ()) -> None:
    """Leave the machine's network for an empty one, for good; the process must have one thread only.

    directory: where a file may be put for as long as it runs. nameserver: whom /etc/resolv.conf names from now on, for
    this process and its children alone. addresses: "192.0.2.1/24" or IPv6: loopback has them too; of an IPv4 network,
    every address. Raises Unusable.
    """
    ip, mount = require("ip", "iproute2"), require("mount", "mount")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS):
        raise Unusable(f"a network namespace of our own, for which one must be root: {os.strerror(ctypes.get_errno())}")
    resolv_conf = directory / "resolv.conf"
    # "search .": no name is tried with the domain of this machine behind it.
    resolv_conf.write_text(f"nameserver {nameserver}\nsearch .\n")
    commands = [
        [mount, "--make-rprivate", "/"],
        [mount, "--bind", str(resolv_conf), "/etc/resolv.conf"],
        [ip, "link", "set", "lo", "up"],
        *([ip, "address", "add", address, "dev", "lo"] for address in addresses),
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unusable(f"{' '.join(command)}: {done.stderr.strip()}")
