"""The downstream that is a Maildir: final delivery into one mailbox."""

import asyncio
import errno
import os
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from smtpgate.content import Content
from smtpgate.relay.downstream import NO_PARAMETERS, DownstreamUnavailable, Envelope, RcptParameters, RelayReply
from smtpgate.relay.wire import checked_address
from smtpgate.spool import Piece
from smtpgate.system_error import in_words
from smtpgate.trouble import Trouble

_RECIPIENT_OK = RelayReply(250, "2.1.5", "Ok")
_DISK_FULL = RelayReply(452, "4.3.1", "Insufficient system storage")
_THREADS = 4

T = TypeVar("T")


class MaildirDownstream:
    """One Maildir, made if it is not there (https://cr.yp.to/proto/maildir.html)."""

    per_recipient = False  # one file is one answer
    requiretls = False  # who reads it, and by which way, is not known here

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # Threads of its own: fsync can be slow, and must not hold up what else runs in the default ones (getaddrinfo).
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="maildir")
        self._fails = False
        self._full = Trouble("mail is put off", os.path.abspath(path))

    @property
    def extensions(self) -> frozenset[str]:
        """A file takes every byte."""
        return frozenset({"8BITMIME", "SMTPUTF8"})

    async def learn_extensions(self) -> None:
        """There is nothing to find out."""

    def begin(self, envelope: Envelope) -> "MaildirDelivery":
        """Prepare a transaction."""
        return MaildirDelivery(envelope, self)

    async def check(self) -> None:
        """If the last message could not be stored: whether one can be now. Raises DownstreamUnavailable."""
        if self._fails:
            await self._do(partial(_try, self._path))

    async def store(self, content: Content) -> Path | None:
        """Where a message is safely on disk; None if there is no room. Raises DownstreamUnavailable."""
        return await self._do(partial(_store, self._path, content))

    async def _do(self, work: Callable[[], T]) -> T | None:
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._full.happened(error)
                return None
            self._fails = True
            raise DownstreamUnavailable(f"maildir: {in_words(error)}") from None
        self._fails = False
        self._full.passed()
        return done

    def connections(self) -> tuple[int, int]:
        """There are none to a directory."""
        return 0, 0

    async def close(self) -> None:
        """Wait for the deliveries under way."""
        await asyncio.to_thread(self._threads.shutdown)


class MaildirDelivery:
    """One message on its way into the Maildir."""

    def __init__(self, envelope: Envelope, maildir: MaildirDownstream) -> None:
        self._envelope = envelope
        self._maildir = maildir
        self._recipients: list[str] = []

    @property
    def per_recipient(self) -> bool:
        """One file is one answer."""
        return False

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        """Every recipient is welcome; each is noted in the message. Raises DownstreamUnavailable."""
        if not self._recipients:
            await self._maildir.check()
        self._recipients.append(checked_address(address))
        return _RECIPIENT_OK

    async def deliver(self, content: Content) -> list[RelayReply]:
        """Write the message, safely on disk when this returns. Raises DownstreamUnavailable."""
        # RFC 5321 §4.4: final delivery notes the sender on top.
        added = f"Return-Path: <{checked_address(self._envelope.sender)}>\r\n"
        added += "".join(f"Delivered-To: {recipient}\r\n" for recipient in self._recipients)
        stored = await self._maildir.store(content.with_head(added.encode() + content.head))
        return [_DISK_FULL if stored is None else RelayReply(250, "2.0.0", f"Ok: stored as {stored.name}")]

    async def abandon(self) -> None:
        """Nothing was written yet."""


def _make(maildir: Path) -> None:
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def _try(maildir: Path) -> None:
    """Make files where a message would be, and remove them; readers ignore names that begin with a dot."""
    _make(maildir)
    for directory in ("tmp", "new"):
        tried = maildir / directory / f".{_unique_name()}"
        tried.touch(0o600, exist_ok=False)
        tried.unlink()


def _store(maildir: Path, content: Content) -> Path:
    """Write a file to tmp and move it to new, so that readers see it whole or not at all."""
    _make(maildir)
    name = _unique_name()
    unfinished, finished = maildir / "tmp" / name, maildir / "new" / name
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            for piece in content:
                _write_all(descriptor, piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.rename(finished)
        _sync_directory(finished.parent)
    except BaseException:
        # It will be refused, and comes again.
        unfinished.unlink(missing_ok=True)
        finished.unlink(missing_ok=True)
        raise
    return finished


def _unique_name() -> str:
    """time.pid_unique.host; the host without what has a meaning in file names."""
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    return f"{int(time.time())}.{os.getpid()}_{secrets.token_hex(8)}.{host}"


def _write_all(descriptor: int, piece: Piece) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
