"""Files for what is too large to be kept in memory.

A file has no name: once nobody refers to it any more, or the process ends, however it ends, it is gone. Reading and
writing block, and are done in threads that do nothing else.
"""

import contextlib
import errno
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from smtpgate.trouble import Trouble

Piece = bytes | bytearray | memoryview

_THREADS = 4
# What file systems without O_TMPFILE say to it (open(2)).
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_NAME = re.compile(r"\d+-[0-9a-f]{16}\.spool")


class Spool:
    """A directory for files without names. threads: in which they are read and written. trouble: with the disk."""

    def __init__(self, directory: str) -> None:
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spool")
        self.trouble = Trouble("large messages are put off", os.path.abspath(directory))
        self._directory = Path(directory)

    def prepare(self) -> None:
        """Make the directory, and take out what a crash may have left there. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in os.listdir(self._directory):
            if _NAME.fullmatch(name):
                # Whoever has just made it needs the name no longer.
                (self._directory / name).unlink(missing_ok=True)

    def open(self) -> "SpoolFile":
        """A new, empty file. Raises OSError."""
        try:
            return SpoolFile(self._opened(), self.threads)
        except FileNotFoundError:  # somebody has removed the directory
            self.prepare()
            return SpoolFile(self._opened(), self.threads)

    def close(self) -> None:
        """Wait for what is being read and written."""
        self.threads.shutdown()

    def _opened(self) -> int:
        try:
            return os.open(self._directory, os.O_TMPFILE | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        path = self._directory / f"{os.getpid()}-{secrets.token_hex(8)}.spool"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        # It may be gone already: see prepare().
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return descriptor


class SpoolFile:
    """A file without a name. It is closed, and gone, when the last reference to it is; a thread's counts too.

    threads: in which to call what blocks.
    """

    def __init__(self, descriptor: int, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self._descriptor = descriptor
        self._size = 0

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, octets: slice) -> bytes:
        """Some of the octets. Blocks. Raises OSError."""
        start, end, _ = octets.indices(self._size)
        return self.read(start, end)

    def append(self, piece: Piece) -> None:
        """Write behind what is there. Blocks. Raises OSError."""
        with memoryview(piece) as rest:
            written = 0
            while written < len(rest):
                written += os.pwrite(self._descriptor, rest[written:], self._size + written)
        self._size += written

    def read(self, start: int, end: int) -> bytes:
        """The octets from start to end, or to the file's end. Blocks. Raises OSError."""
        end = min(end, self._size)
        data = os.pread(self._descriptor, max(end - start, 0), start)
        while len(data) < end - start:
            more = os.pread(self._descriptor, end - start - len(data), start + len(data))
            if not more:
                raise OSError(errno.EIO, "spool file is shorter than what was written")
            data += more
        return data
