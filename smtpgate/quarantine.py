"""Messages that are kept back until somebody has looked at them: one file each, safe on the disk before it counts.

A file begins with a line of JSON, the envelope; everything behind it is the message, as it would have left.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from smtpgate.spool import Piece
from smtpgate.system_error import in_words
from smtpgate.trouble import Trouble

_SUFFIX, _PARTIAL = ".held", ".partial"
# What all processes have added up: when, on the system's clock that is never set back, and how much.
_COUNT, _COUNTED = "count", struct.Struct("dQ")
# What the smallest of files takes on a disk.
_BLOCK = 4096
# How long what was added up is believed, in seconds; what others have deleted meanwhile is not seen.
_COUNT_AGAIN = 10.0
_ID = re.compile(r"[0-9A-Za-z_.-]{1,80}")


class QuarantineError(Exception):
    """A message is not there, or somebody else has it in hand. The text is for the administrator."""


class Quarantine:
    """A directory of held messages. All methods block.

    most: octets that it may take on the disk. clock: seconds, never set back, the same in all processes. trouble: what
    keeps messages out.
    """

    def __init__(self, directory: str, most: int = 1024**3, clock: Callable[[], float] = time.monotonic) -> None:
        self.trouble = Trouble("messages that rules hold are put off", os.path.abspath(directory))
        self._directory = Path(directory)
        self._most = most
        self._clock = clock

    def prepare(self) -> None:
        """Take out what a crash has left half written. Raises OSError."""
        for entry in self._entries(_PARTIAL):
            # Another process that is still writing has it locked.
            with contextlib.suppress(FileNotFoundError, BlockingIOError), open(entry.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)

    def keep(self, name: str, envelope: dict[str, Any], content: Iterable[Piece]) -> None:
        """Keep a message under this name, in place of one that has it. On return it survives a loss of power.

        Raises OSError: ENOSPC if the quarantine is full.
        """
        self._make()
        path = self._path(name)
        if not path.exists() and self._count() >= self._most:
            raise OSError(errno.ENOSPC, "the quarantine is full: see quarantine_size")
        partial = path.with_suffix(_PARTIAL)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(json.dumps(envelope).encode() + b"\n")
                for piece in content:
                    file.write(piece)
                file.flush()
                os.fsync(descriptor)
                size = file.tell()
                partial.rename(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync(self._directory)
        with contextlib.suppress(OSError):  # the message is safe
            self._count(_on_disk(size))

    def names(self) -> list[str]:
        """What is kept, oldest first."""
        return sorted(entry.name.removesuffix(_SUFFIX) for entry in self._entries(_SUFFIX))

    def used(self) -> int:
        """Octets that it takes on the disk."""
        sizes = []
        for entry in self._entries(_SUFFIX, _PARTIAL):
            with contextlib.suppress(FileNotFoundError):  # gone a moment ago
                sizes.append(_on_disk(entry.stat().st_size))
        return sum(sizes)

    def delete_before(self, at: float) -> list[str]:
        """Forget what was put here before a time, in seconds since 1970; nothing that somebody has in hand.

        Returns the names. Raises OSError.
        """
        deleted = []
        for entry in self._entries(_SUFFIX):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                if entry.stat().st_mtime >= at:
                    continue
                with open(entry.path, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(file.fileno()).st_mtime < at:  # not one that has just taken its place
                        os.unlink(entry.path)
                        deleted.append(entry.name.removesuffix(_SUFFIX))
        if deleted:
            _sync(self._directory)
        return sorted(deleted)

    def renew(self, oldest: float, newest: float) -> None:
        """What was put here before or after these times, in seconds since 1970, counts as put here at the latter.

        Raises OSError.
        """
        for entry in self._entries(_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                if not oldest <= entry.stat().st_mtime <= newest:
                    os.utime(entry.path, (newest, newest))

    @contextlib.contextmanager
    def taken(self, name: str) -> Iterator[tuple[dict[str, Any], BinaryIO]]:
        """A message in hand: its envelope, and the file at the message's beginning. Raises QuarantineError.

        Nobody else has it meanwhile.
        """
        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context(self._path(name).open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink == 0:
                    raise FileNotFoundError
                envelope = json.loads(file.readline())
            except FileNotFoundError:
                raise QuarantineError(f"there is no message {name}") from None
            except BlockingIOError:
                raise QuarantineError(f"somebody else has {name} in hand") from None
            except (OSError, ValueError) as trouble:
                raise QuarantineError(f"{name} cannot be read: {in_words(trouble)}") from trouble
            yield envelope, file

    def delete(self, name: str) -> None:
        """Forget a message. Raises QuarantineError."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise QuarantineError(f"there is no message {name}") from None
        except OSError as trouble:
            raise QuarantineError(f"{name} cannot be deleted: {trouble.strerror}") from trouble
        _sync(self._directory)

    def _count(self, added: int = 0) -> int:
        """How much there is, as all processes together know it. added: by us, a moment ago. Raises OSError."""
        descriptor = os.open(self._directory / _COUNT, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            known = os.pread(descriptor, _COUNTED.size, 0)
            at, used = _COUNTED.unpack(known) if len(known) == _COUNTED.size else (math.inf, 0)
            now = self._clock()
            if at <= now < at + _COUNT_AGAIN:
                used += added
            else:  # also after a restart of the machine, whose clock begins anew
                at, used = now, self.used()
            os.pwrite(descriptor, _COUNTED.pack(at, used), 0)
        finally:
            os.close(descriptor)
        return int(used)

    def _entries(self, *suffixes: str) -> Iterator[os.DirEntry[str]]:
        """The files with such a suffix."""
        try:
            with os.scandir(self._directory) as found:
                yield from [entry for entry in found if entry.name.endswith(suffixes)]
        except FileNotFoundError:
            return

    def _path(self, name: str) -> Path:
        if not _ID.fullmatch(name):
            raise QuarantineError(f"{name[:80]!r} is no name of a message")
        return self._directory / f"{name}{_SUFFIX}"

    def _make(self) -> None:
        """Make the directory, and those above it, if they are not there."""
        missing = [path for path in (self._directory, *self._directory.parents) if not path.exists()]
        if missing:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in missing:
            _sync(path.parent)


def _sync(directory: Path) -> None:
    """A name, new or gone, is safe only when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
