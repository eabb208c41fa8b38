"""A DNS server on loopback whose every answer the test writes."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from bench.ports import free_port
from tests.listening import listening

# (question, whether it came over TCP) → the packets to send back
Script = Callable[[dns.message.Message, bool], list[bytes]]


def reply(question, *records, authority=(), rcode="NOERROR", flags=0):
    """A well-formed response; records as in a zone file: "name ttl IN type data"."""
    response = dns.message.make_response(question)
    response.set_rcode(dns.rcode.from_text(rcode))
    response.flags |= dns.flags.RA | flags
    for section, lines in ((response.answer, records), (response.authority, authority)):
        for line in lines:
            name, ttl, class_, kind, data = line.split(maxsplit=4)
            section.append(dns.rrset.from_text(name, int(ttl), class_, kind, data))
    return response


def wire(*args, **options):
    return reply(*args, **options).to_wire(max_size=65_535)


def bound(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for TCP and UDP on one port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    accepting = socket.create_server((address, port), family=family)
    receiving = socket.socket(family, socket.SOCK_DGRAM)
    try:
        receiving.bind((address, port))
    except OSError:
        accepting.close()
        receiving.close()
        raise
    receiving.setblocking(False)
    return accepting, receiving


@contextlib.asynccontextmanager
async def name_server(script: Script, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator["Server"]:
    """port: one that is nobody's on any address, unless told."""
    server = Server(script)
    server.port = port or free_port()
    accepting, receiving = bound(address, server.port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, sock=receiving)
    try:
        async with listening(server.tcp, sock=accepting):
            yield server
    finally:
        transport.close()


class Server(asyncio.DatagramProtocol):
    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.asked: list[tuple[str, str]] = []  # names in lower case, "udp" or "tcp"
        self.clients: list[tuple[str, int]] = []  # who asked over UDP

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.clients.append(address)
        for packet in self._answers(data, tcp=False):
            self.transport.sendto(packet, address)

    async def tcp(self, reader, writer):
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            for packet in self._answers(await reader.readexactly(length), tcp=True):
                writer.write(struct.pack("!H", len(packet)) + packet)
        except asyncio.IncompleteReadError:
            pass  # the resolver has given up
        writer.close()

    def _answers(self, data, *, tcp):
        question = dns.message.from_wire(data)
        self.asked.append((question.question[0].name.to_text().lower(), "tcp" if tcp else "udp"))
        return self.script(question, tcp)


def silent_socket(port: int, address: str = "127.0.0.2") -> socket.socket:
    """A server that takes every question and answers none."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock
