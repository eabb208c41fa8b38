"""A downstream on loopback that does what the test tells it: answers, hangs, closes."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.listening import listening

HANG = object()  # never answers
CLOSE = object()  # closes the connection instead of answering


def offering(*extensions: str) -> bytes:
    """The answer to EHLO that offers these."""
    lines = ["scripted", *extensions]
    return "".join(f"250{'-' if line != lines[-1] else ' '}{line}\r\n" for line in lines).encode()


EHLO = offering("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
USUAL = {
    "greeting": b"220 scripted\r\n",
    "EHLO": EHLO,
    "LHLO": EHLO,
    "HELO": b"250 scripted\r\n",
    "MAIL": b"250 2.1.0 Sender ok\r\n",
    "RCPT": b"250 2.1.5 Recipient ok\r\n",
    "DATA": b"354 Go ahead\r\n",
    "BDAT": b"250 2.0.0 Queued as 1\r\n",
    "STAR": b"220 2.0.0 Ready\r\n",
    "AUTH": b"235 2.7.0 Welcome\r\n",
    "dot": b"250 2.0.0 Queued as 1\r\n",
    "RSET": b"250 2.0.0 Reset\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}


class ScriptedServer:
    """script: what differs from USUAL, by verb, "greeting" or "dot": one answer or a list, of which the last one stays.
    read_content: False to leave the content unread; BDAT is then answered before its content came.
    context: for TLS after STARTTLS.

    commands: every line received. contents: every message as it was on the wire, without the final dot.
    connections: how many there were. reached: set when a verb that hangs is reached. gone: one event a connection.
    """

    def __init__(
        self, script: Mapping[str, Any], *, read_content: bool = True, context: ssl.SSLContext | None = None
    ) -> None:
        self.context = context
        self.script = {
            verb: list(answer) if isinstance(answer, list) else [answer] for verb, answer in {**USUAL, **script}.items()
        }
        self.read_content = read_content
        self.commands: list[bytes] = []
        self.contents: list[bytes] = []
        self.gone: list[asyncio.Event] = []
        self.reached = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.readers: list[asyncio.StreamReader] = []
        self.url = ""

    @property
    def connections(self) -> int:
        return len(self.writers)

    def verbs(self) -> list[str]:
        return [line[:4].decode("latin-1") for line in self.commands]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.Event()
        self.gone.append(gone)
        self.writers.append(writer)
        self.readers.append(reader)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            gone.set()
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._answer("greeting", writer):
            return
        while line := await reader.readline():
            self.commands.append(line)
            verb = line[:4].decode("latin-1").strip()
            if verb == "BDAT" and self.read_content:
                self.contents.append(await reader.readexactly(int(line.split()[1])))
            answer = await self._answer(verb, writer)
            while answer.startswith(b"334"):
                self.commands.append(await reader.readline())
                answer = await self._answer(verb, writer)
            if not answer:
                return
            if verb == "BDAT" and not self.read_content:
                while await reader.read(1 << 16):
                    pass  # until the other side has had enough
                return
            if verb == "STAR" and answer.startswith(b"220"):
                await writer.start_tls(self.context)
            if verb == "DATA" and answer.startswith(b"354"):
                if not self.read_content:
                    await asyncio.Event().wait()
                content = b"\r\n" + await reader.readuntil(b".\r\n")
                while not content.endswith(b"\r\n.\r\n"):
                    content += await reader.readuntil(b".\r\n")
                self.contents.append(content[2:-3])
                if not await self._answer("dot", writer):
                    return

    async def _answer(self, verb: str, writer: asyncio.StreamWriter) -> bytes:
        answers = self.script.get(verb, [b"500 What?\r\n"])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is HANG:
            self.reached.set()
            await asyncio.Event().wait()
        if answer is CLOSE:
            return b""
        writer.write(answer)
        return answer


@asynccontextmanager
async def scripted(script: Mapping[str, Any] | None = None, *, scheme: str = "smtp", path: Any = None, **options: Any):
    """A ScriptedServer that listens; its url names it. With smtps, its context is used from the first byte."""
    server = ScriptedServer(script or {}, **options)
    path = path if scheme == "lmtp+unix" else None
    at_once = server.context if scheme == "smtps" else None
    async with listening(server.serve, path=path, limit=1 << 24, ssl=at_once) as port:
        server.url = f"{scheme}:{path}" if path is not None else f"{scheme}://127.0.0.1:{port}"
        yield server
