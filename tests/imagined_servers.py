"""Mail servers that exist in memory alone: what they do at each reply is decided beforehand, to the octet.

No sockets and no time: a test plays hundreds of histories in a second, always the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.virtual_time import VirtualTimeLoop

CODES = {"greeting": 220, "DATA": 354, "RSET": 250, "QUIT": 221}


@dataclass(frozen=True)
class Fate:
    """What happens at one reply.

    digit: 2 for the usual answer, 4 and 5 for a refusal, 0 for "421" and the end of the connection.
    done: what was asked is done, if it is not refused. sent: so many octets of the reply go out, then the connection is
    closed, or hangs; None for all of it. cut: the reply comes in two pieces. behind: what comes with the end of it,
    and is no reply; nobody listens any more then. parting: 421 follows it, and the end.
    """

    digit: int = 2
    done: bool = True
    sent: int | None = None
    hangs: bool = False
    cut: int = 0
    behind: bytes = b""
    parting: bool = False


USUAL = Fate()


@dataclass(frozen=True)
class Save:
    """A recipient has got a message. known: the whole reply that says so went out."""

    recipient: str
    known: bool


class ImaginedServer:
    """An SMTP or LMTP server. fate: asked at every reply, by the command, "greeting",
    "content" or "dot". saved: told of every message that somebody gets."""

    def __init__(
        self, *, lmtp: bool, offers: tuple[str, ...], fate: Callable[[str], Fate], saved: Callable[[Save], None]
    ) -> None:
        self.lmtp = lmtp
        self.offers = offers
        self.fate = fate
        self.saved = saved


class ImaginedLoop(VirtualTimeLoop):
    """Connects to imagined servers, which are known by their ports."""

    def __init__(self, servers: Mapping[int, ImaginedServer]) -> None:
        super().__init__()
        self._servers = servers

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        protocol = protocol_factory()
        wire = _Wire(self, protocol, self._servers[port])
        protocol.connection_made(wire)
        self.call_soon(wire.greet)
        return wire, protocol


class _Wire(asyncio.Transport):
    """One connection, and the server at its other end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, server: ImaginedServer) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._server = server
        self._received = b""
        self._listens = True  # whether the server still reads
        self._open = True  # whether anybody reads what it says
        self._sender = False
        self._recipients: list[str] = []
        self._in_data = False

    # What the gate does.

    def write(self, data: Any) -> None:
        self._received += bytes(data)
        self._loop.call_soon(self._read)

    def is_closing(self) -> bool:
        return not self._open

    def close(self) -> None:
        self._loop.call_soon(self._ends)  # what was written arrives before

    def abort(self) -> None:
        self._listens = False
        self._ends()

    def _ends(self) -> None:
        if self._open:
            self._open = self._listens = False
            self._loop.call_soon(self._protocol.connection_lost, None)

    # What the server does.

    def greet(self) -> None:
        self._reply("greeting")

    def _read(self) -> None:
        while self._listens:
            if self._in_data:
                _, end, rest = (b"\r\n" + self._received).partition(b"\r\n.\r\n")
                if not end:
                    return
                self._received, self._in_data = rest, False
                if not self._interrupted():
                    self._deliver()
                continue
            line, end, rest = self._received.partition(b"\r\n")
            if not end:
                return
            verb, _, argument = line.partition(b" ")
            if verb == b"BDAT":
                size = int(argument.split()[0])
                if len(rest) < size:
                    return
                rest = rest[size:]
            self._received = rest
            self._command(verb.decode(), argument.decode())

    def _command(self, verb: str, argument: str) -> None:
        match verb:
            case "EHLO" | "LHLO" | "HELO":
                self._reply(verb, self._server.offers if verb != "HELO" else ())
            case "MAIL" if not self._sender:
                self._sender = self._reply(verb)
            case "RCPT" if self._sender:
                if self._reply(verb):
                    self._recipients.append(argument.removeprefix("TO:<").partition(">")[0])
            case "DATA" if self._recipients:
                self._in_data = self._reply(verb)
            case "BDAT" if self._recipients:
                self._deliver()
            case "RSET":
                if self._reply(verb):
                    self._forget()
            case "QUIT":
                self._say(b"221 2.0.0 Bye\r\n")
                self._hang_up()
            case "RCPT":  # it came together with MAIL, which was refused
                self._say(b"503 5.5.1 Need MAIL\r\n")
            case _:
                raise AssertionError(f"{verb} is out of step")

    def _interrupted(self) -> bool:
        """Whether the connection breaks inside the content."""
        fate = self._server.fate("content")
        if fate.digit == 2 and fate.sent is None:
            return False
        if not fate.digit:
            self._say(b"421 4.3.2 Bye\r\n")
        self._break_off(hangs=fate.hangs)
        return True

    def _deliver(self) -> None:
        """What comes at the end of a message: a reply, or with LMTP one for each recipient (RFC 2033 §4.2)."""
        groups = [[recipient] for recipient in self._recipients] if self._server.lmtp else [self._recipients]
        self._forget()
        for group in groups:
            self._reply("dot", group=group)

    def _forget(self) -> None:
        self._sender, self._recipients = False, []

    def _reply(self, verb: str, more: tuple[str, ...] = (), group: Any = ()) -> bool:
        """Answer as fate wants; whether it was done. group: who gets the message if it is."""
        if not self._listens and not group:
            return False
        fate = self._server.fate(verb)
        reply = {0: b"421 4.3.2 Bye\r\n", 4: b"450 4.2.0 Later\r\n", 5: b"550 5.2.0 No\r\n"}.get(fate.digit)
        done = reply is None and fate.done
        if reply is None:
            code = CODES.get(verb, 250)
            lines = ["2.0.0 Ok", *more]
            reply = "".join(f"{code}{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines).encode()
        sent = len(reply) if fate.sent is None else min(fate.sent, len(reply))
        if not fate.done:
            sent = 0
        for recipient in group if done else ():
            self._server.saved(Save(recipient, known=sent == len(reply) and self._listens))
        if self._listens:
            self._say(reply[: min(fate.cut, sent)])
            self._say(reply[min(fate.cut, sent) : sent] + (fate.behind if sent == len(reply) else b""))
            if fate.parting and sent == len(reply):
                self._say(b"421 4.4.2 Idle\r\n")
            if not fate.digit or fate.parting or fate.behind or not fate.done or fate.sent is not None:
                self._break_off(hangs=fate.hangs)
        return done

    def _say(self, piece: bytes) -> None:
        if piece:
            self._loop.call_soon(self._hear, piece)

    def _hear(self, piece: bytes) -> None:
        if self._open:
            self._protocol.data_received(piece)

    def _break_off(self, *, hangs: bool) -> None:
        self._listens = False
        if not hangs:
            self._hang_up()

    def _hang_up(self) -> None:
        self._listens = False
        self._loop.call_soon(self._eof)

    def _eof(self) -> None:
        if self._open:
            self._protocol.eof_received()
