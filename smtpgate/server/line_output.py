"""Log lines of several processes on one output, each line whole."""

import fcntl
import os


class LineOutput:
    """Writes lines to a file descriptor that other processes write to as well. To be made before they are forked."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # A pipe mixes the writes of several processes as soon as they are longer than PIPE_BUF octets (pipe(7)). This
        # lock belongs to the process that takes it, so that it is free again when a worker is killed. Its file is empty
        # unless the last line was cut off, which a full disk does: the next one must not go on in it.
        self._lock = os.memfd_create("log")

    def write(self, lines: str) -> None:
        """Write lines joined by line ends, without the last one. Blocks; raises OSError.

        Not through sys.stdout: a thread that is stuck in there when the process ends makes Python abort.
        """
        data = lines.encode() + b"\n"
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            self._write(data)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _write(self, data: bytes) -> None:
        if os.fstat(self._lock).st_size:
            data = b"\n" + data
        while data:
            data = data[os.write(self._fd, data) :]
            os.ftruncate(self._lock, bool(data))
