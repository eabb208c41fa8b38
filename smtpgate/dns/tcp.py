"""One question over TCP: when the answer does not fit a packet, or packets cannot be trusted."""

import asyncio
import socket
import struct

from smtpgate.dns.wire import FormatError
from smtpgate.values import Endpoint


async def exchange(server: Endpoint, question: bytes) -> bytes:
    """The server's answer (RFC 7766 §8: two octets of length before each message).

    OSError: the server cannot be reached. FormatError: it said too little. No time limit of its own.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.host, server.port))
        await loop.sock_sendall(sock, struct.pack("!H", len(question)) + question)
        (length,) = struct.unpack("!H", await _receive(sock, 2))
        answer = await _receive(sock, length)
    if answer[:2] != question[:2]:  # RFC 7766 §7: the identifier
        raise FormatError("an answer to another question")
    return answer


async def _receive(sock: socket.socket, octets: int) -> bytes:
    received = b""
    while len(received) < octets:
        chunk = await asyncio.get_running_loop().sock_recv(sock, octets - len(received))
        if not chunk:
            raise FormatError("closed before the end of the answer")
        received += chunk
    return received
