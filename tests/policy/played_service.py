"""A policy service on loopback that does what the test tells it: answers, hangs, drips, closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from smtpgate.policy.service import PolicyService
from tests.listening import listening

HANG = object()  # never answers
CLOSE = object()  # closes the connection instead of answering


class PlayedService:
    """answers: one a question, of which the last one stays: bytes, several pieces of them, or HANG or CLOSE.

    questions: those received, by connection. gone: set when a connection ends, one a connection.
    """

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers) or [b"action=DUNNO\n\n"]
        self.questions: list[list[dict[str, str]]] = []
        self.gone: list[asyncio.Event] = []
        self.asked = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.address = PolicyService()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        questions: list[dict[str, str]] = []
        gone = asyncio.Event()
        self.questions.append(questions)
        self.gone.append(gone)
        self.writers.append(writer)
        try:
            while True:
                lines = (await reader.readuntil(b"\n\n")).decode().splitlines()[:-1]
                questions.append(dict(line.split("=", 1) for line in lines))
                if not await self._answer(reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            gone.set()
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.asked.set()
        for piece in answer if isinstance(answer, tuple) else (answer,):
            if piece is HANG:
                await reader.read()  # until the other side has had enough
            if piece in (HANG, CLOSE):
                return False
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return True


@asynccontextmanager
async def played(*answers: object, path: Path | None = None) -> AsyncIterator[PlayedService]:
    """A PlayedService that listens at its address."""
    service = PlayedService(*answers)
    async with listening(service.serve, path=path) as port:
        service.address = PolicyService("127.0.0.1", port) if path is None else PolicyService(path=str(path))
        yield service
