"""What the tests of spooled messages share."""

import os
from pathlib import Path


def open_files(directory: Path) -> list[str]:
    """The files of this process that lie, or lay, in the directory."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            pass  # that was listdir's own
    return [name for name in found if name.startswith(str(directory))]
