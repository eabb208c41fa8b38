"""The least that a gate in Python can be: it passes on what smtp-source says to smtp-sink, and does nothing else.

No rules, no limits, no record, no log, no time-outs, no look at what passes; callbacks alone, no task, no object but
the connections. It understands no other client and no other server. What it costs is what Python, uvloop and the kernel
cost: nothing that a real gate does can make it faster than this one.
"""

import asyncio
import os
import signal
import socket
import sys
from typing import ClassVar, cast

import uvloop

_RECEIVED = b"Received: from client.example.net by mx.example.test; Mon, 23 Nov 2026 12:00:00 +0000\r\n"


class _Peer(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)


class Downstream(_Peer):
    """A connection to smtp-sink, used again and again. idle: those that wait. port: smtp-sink's."""

    idle: ClassVar[list["Downstream"]] = []
    port: ClassVar[int]

    def __init__(self, client: "Client") -> None:
        super().__init__()
        self._client = client
        self._expects = self._banner

    def begin(self, client: "Client") -> None:
        """Put the client's sender and recipient."""
        self._client = client
        self._expects = self._envelope
        self.transport.write(client.envelope)

    def hand_over(self) -> None:
        """The client's message is complete."""
        self._expects = self._data
        self.transport.write(b"DATA\r\n")

    def data_received(self, data: bytes) -> None:
        """Small replies come in whole."""
        self._expects(data)

    def _banner(self, data: bytes) -> None:
        self._expects = self._offer
        self.transport.write(b"EHLO mx.example.test\r\n")

    def _offer(self, data: bytes) -> None:
        self.begin(self._client)

    def _envelope(self, data: bytes) -> None:
        if data.count(b"\n") == 2:
            self._client.transport.write(b"250 2.1.5 Ok\r\n")

    def _data(self, data: bytes) -> None:
        self._expects = self._taken
        self.transport.writelines((_RECEIVED, *self._client.content))

    def _taken(self, data: bytes) -> None:
        Downstream.idle.append(self)
        self._client.transport.write(b"250 2.0.0 Ok\r\n")


class Client(_Peer):
    """A connection of smtp-source's. envelope: its MAIL and RCPT. content: its message, with the final dot."""

    def __init__(self) -> None:
        super().__init__()
        self.envelope = b""
        self.content: list[bytes] = []
        self._downstream: Downstream
        self._connecting: asyncio.Task[object]
        self._sends_content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        super().connection_made(transport)
        self.transport.write(b"220 mx.example.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """One command at a time, or a part of the message."""
        if self._sends_content:
            self.content.append(data)
            if data.endswith(b"\r\n.\r\n"):
                self._sends_content = False
                self._downstream.hand_over()
            return
        match data[:4]:
            case b"MAIL":
                self.envelope = data
                self.transport.write(b"250 2.1.0 Ok\r\n")
            case b"RCPT":
                self.envelope += data
                self._put()
            case b"DATA":
                self._sends_content, self.content = True, []
                self.transport.write(b"354 End data with <CR><LF>.<CR><LF>\r\n")
            case b"QUIT":
                self.transport.write(b"221 2.0.0 Bye\r\n")
                self.transport.close()
            case _:
                self.transport.write(b"250 mx.example.test\r\n")

    def _put(self) -> None:
        if Downstream.idle:
            self._downstream = Downstream.idle.pop()
            self._downstream.begin(self)
        else:
            self._downstream = Downstream(self)
            loop = asyncio.get_running_loop()
            self._connecting = loop.create_task(
                loop.create_connection(lambda: self._downstream, "127.0.0.1", Downstream.port)
            )


async def _serve(listening: socket.socket, client: type[Client]) -> None:
    server = await asyncio.get_running_loop().create_server(client, sock=listening)
    await server.serve_forever()


def main(port: int, sink: int, client: type[Client] = Client) -> None:
    """Serve with a process for each core, until SIGTERM. sink: smtp-sink's port. client: of each connection."""
    Downstream.port = sink
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with socket.create_server(("127.0.0.1", port), backlog=1000) as listening:
        workers = []
        for _ in range(os.cpu_count() or 1):
            pid = os.fork()
            if not pid:
                uvloop.run(_serve(listening, client))
            workers.append(pid)
    signal.sigwait({signal.SIGTERM})
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
