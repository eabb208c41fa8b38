"""One question put to one name server, over UDP or TCP."""

import asyncio
import os
import socket
import struct

from smtpgate.dns.resolver import RecordType
from smtpgate.dns.wire import FormatError, Response, read_answer, write_question

# Only the server itself can send us packets, so this many useless ones are its fault and not an attack.
_MAX_USELESS = 100


async def ask(server: str, port: int, name: str, kind: RecordType) -> Response:
    """Ask over UDP, and over TCP if the answer does not fit (RFC 7766 §5).

    Every question has its own socket, and so its own source port, and its own identifier (RFC 5452 §9.2).
    OSError: the server cannot be reached. FormatError: its answer cannot be used. No time limit of its own.
    """
    question = write_question(os.urandom(2), name, kind)
    response = await _over_udp(server, port, question)
    if response.truncated:
        response = await _over_tcp(server, port, question)
        if response.truncated:
            raise FormatError("truncated over TCP")
    return response


async def _over_udp(server: str, port: int, question: bytes) -> Response:
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_DGRAM) as sock:
        sock.connect((server, port))  # does not wait; from here on nobody else's packets arrive, and refusals do
        await loop.sock_sendall(sock, question)
        for _ in range(_MAX_USELESS):
            wire = await loop.sock_recv(sock, 65_535)
            try:
                return read_answer(wire, question)
            except FormatError:
                continue  # a forged packet must not end the question: the good one follows (CVE-2023-29483)
    raise FormatError("nothing but useless packets")


async def _over_tcp(server: str, port: int, question: bytes) -> Response:
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_STREAM) as sock:
        await loop.sock_connect(sock, (server, port))
        await loop.sock_sendall(sock, struct.pack("!H", len(question)) + question)
        (length,) = struct.unpack("!H", await _receive(sock, 2))
        return read_answer(await _receive(sock, length), question)


async def _receive(sock: socket.socket, octets: int) -> bytes:
    received = b""
    while len(received) < octets:
        chunk = await asyncio.get_running_loop().sock_recv(sock, octets - len(received))
        if not chunk:
            raise FormatError("closed before the end of the answer")
        received += chunk
    return received


def _socket(server: str, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
    sock.setblocking(False)
    return sock
