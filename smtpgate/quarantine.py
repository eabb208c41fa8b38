"""Messages that are kept back until somebody has looked at them: one file each, safe on the disk before it counts.

A file begins with a line of JSON, the envelope; everything behind it is the message, as it would have left.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from smtpgate.spool import Piece

_SUFFIX = ".held"
_ID = re.compile(r"[0-9A-Za-z_.-]{1,80}")


class QuarantineError(Exception):
    """A message is not there, or somebody else has it in hand. The text is for the administrator."""


class Quarantine:
    """A directory of held messages. All methods block."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def keep(self, name: str, envelope: dict[str, Any], content: Iterable[Piece]) -> None:
        """Keep a message under this name, in place of one that has it. On return it survives a loss of power.

        Raises OSError.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(name)
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(json.dumps(envelope).encode() + b"\n")
                for piece in content:
                    file.write(piece)
                file.flush()
                os.fsync(descriptor)
            partial.rename(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._sync()

    def names(self) -> list[str]:
        """What is kept, oldest first."""
        try:
            found = [path for path in self._directory.iterdir() if path.suffix == _SUFFIX]
        except FileNotFoundError:
            return []
        return sorted(path.stem for path in found)

    @contextlib.contextmanager
    def taken(self, name: str) -> Iterator[tuple[dict[str, Any], BinaryIO]]:
        """A message in hand: its envelope, and the file at the message's beginning. Raises QuarantineError.

        Nobody else has it meanwhile.
        """
        try:
            with self._path(name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink == 0:
                    raise FileNotFoundError
                yield json.loads(file.readline()), file
        except FileNotFoundError:
            raise QuarantineError(f"there is no message {name}") from None
        except BlockingIOError:
            raise QuarantineError(f"somebody else has {name} in hand") from None
        except (OSError, ValueError) as trouble:
            raise QuarantineError(f"{name} cannot be read: {trouble}") from trouble

    def delete(self, name: str) -> None:
        """Forget a message. Raises QuarantineError."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise QuarantineError(f"there is no message {name}") from None
        except OSError as trouble:
            raise QuarantineError(f"{name} cannot be deleted: {trouble.strerror}") from trouble
        self._sync()

    def _path(self, name: str) -> Path:
        if not _ID.fullmatch(name):
            raise QuarantineError(f"{name[:80]!r} is no name of a message")
        return self._directory / f"{name}{_SUFFIX}"

    def _sync(self) -> None:
        """A name, new or gone, is safe only when its directory is."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
