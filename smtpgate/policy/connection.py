"""One connection to a policy service: a question, an answer, and so on.

A connection that anything went wrong with is closed for good: a time-out, nonsense, an unasked octet, a cancelled
caller. So one that is still open is never out of step with the service.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from smtpgate.policy.service import PolicyService
from smtpgate.policy.wire import AnswerReader, Nonsense
from smtpgate.system_error import in_words


class PolicyUnavailable(Exception):
    """The service gave no answer. The text is for the record, never for the wire."""


class Connection(asyncio.Protocol):
    """A connection, used by one caller at a time.

    opened: when, by the event loop's clock. instance: the transaction that it was asked about last. on_closed: called
    once, when it is open no longer.
    """

    def __init__(self, on_closed: "Callable[[Connection], None]") -> None:
        self.opened = asyncio.get_running_loop().time()
        self.instance = ""
        self._on_closed = on_closed
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[str] | None = None
        self._transport: asyncio.Transport
        self.is_open = True

    @classmethod
    async def to(cls, service: PolicyService, on_closed: "Callable[[Connection], None]") -> "Connection":
        """A new connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        if service.path:
            _, connection = await loop.create_unix_connection(lambda: cls(on_closed), service.path)
        else:
            _, connection = await loop.create_connection(lambda: cls(on_closed), service.host, service.port)
        return connection

    async def ask(self, question: bytes, instance: str) -> str:
        """Send a question and wait for the action. Raises PolicyUnavailable."""
        self.instance = instance
        self._reader, self._answer = AnswerReader(), asyncio.get_running_loop().create_future()
        try:
            if not self.is_open:
                raise PolicyUnavailable("it closed the connection")
            self._transport.write(question)
            return await self._answer
        except BaseException:
            # Also when the caller was cancelled: the answer that may still come would be the next one's.
            self.close()
            raise
        finally:
            self._reader = self._answer = None

    def close(self) -> None:
        """Close at once."""
        if self.is_open:
            self._transport.abort()
            self._ended("closed by us")

    def _ended(self, why: str) -> None:
        self.is_open = False
        self._on_closed(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(PolicyUnavailable(why))

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        if not self.is_open:
            return
        if self._reader is None or self._answer is None or self._answer.done():
            self.close()  # unasked
            return
        try:
            action = self._reader.feed(data)
        except Nonsense as nonsense:
            self._transport.abort()
            self._ended(f"nonsense: {nonsense}")
            return
        if action is not None:
            self._answer.set_result(action)
            if self._reader.rest:
                self.close()

    def eof_received(self) -> None:
        """The service will say no more."""
        if self.is_open:
            self._transport.abort()
            self._ended("it closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        if self.is_open:
            self._ended(f"connection lost: {in_words(error) if error else 'closed'}")
