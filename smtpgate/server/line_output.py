"""Log lines of several processes on one output, each line whole."""

import fcntl
import os
import sys
import tempfile


class LineOutput:
    """Writes lines to a file descriptor that other processes write to as well. To be made before they are forked."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # A pipe mixes the writes of several processes as soon as they are longer than PIPE_BUF octets (pipe(7)). This
        # lock belongs to the process that takes it, so that it is free again when a worker is killed.
        self._lock = os.memfd_create("log") if sys.platform == "linux" else tempfile.TemporaryFile()  # noqa: SIM115

    def write(self, lines: str) -> None:
        """Write lines joined by line ends, without the last one. Blocks; raises OSError.

        Not through sys.stdout: a thread that is stuck in there when the process ends makes Python abort.
        """
        data = lines.encode() + b"\n"
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
