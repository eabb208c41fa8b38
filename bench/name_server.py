"""A DNS server on loopback with a world of strangers in it, which answers with a delay as the real one does.

Each client 127.x.y.z has a name that leads back to it; each domain dN.senders.example an MX and an SPF record that
needs another look-up; every tenth client is on the block list zen.spamhaus.org, nobody on any other. Answers are put
together from octets: they must cost little beside the servers that are measured.

`python -m bench.name_server ADDRESS DELAY` answers on port 53 until it is ended. DELAY: milliseconds.
"""

import asyncio
import re
import socket
import struct
import sys

import uvloop

SENDER_SPF = b"v=spf1 include:_spf.senders.example -all"
_REVERSE = re.compile(rb"(\d+)\.(\d+)\.(\d+)\.127\.in-addr\.arpa")
_HOST = re.compile(rb"h(\d+)-(\d+)-(\d+)\.hosts\.example")
_SENDER = re.compile(rb"d\d+\.senders\.example")
_LISTED = re.compile(rb"\d*0\.\d+\.\d+\.127\.zen\.spamhaus\.org")
# RFC 5782 §5: a list that does not list 127.0.0.2 is no list, and is not asked.
_TEST_ENTRY = re.compile(rb"2\.0\.0\.127\.(?:list\d\.example|zen\.spamhaus\.org)")
_A, _PTR, _MX, _TXT = 1, 12, 15, 16
_TTL = 300
_NXDOMAIN = 3
# Many clients ask at one moment; a question that is dropped would be measured as seconds of waiting.
_RECEIVE_BUFFER = 8 * 2**20
_SO_RCVBUFFORCE = 33

Records = dict[int, bytes]  # by type, the RDATA


class NameServer(asyncio.DatagramProtocol):
    """delay: seconds before each answer. texts: TXT records by name, lower case."""

    def __init__(self, delay: float, texts: dict[str, bytes]) -> None:
        self.asked = 0
        self._delay = delay
        self._texts = {name.encode(): text for name, text in texts.items()}
        self._texts[b"_spf.senders.example"] = b"v=spf1 ip4:127.0.0.0/8 -all"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer, later."""
        self.asked += 1
        send = self._transport.sendto  # type: ignore[attr-defined]
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, send, self._response(data), address)
        else:
            send(self._response(data), address)

    def _response(self, question: bytes) -> bytes:
        """The answer to a question, of which only the first is looked at (RFC 1035 §4.1)."""
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length])
            at += 1 + length
        asked = question[12 : at + 5]
        records = self._records(b".".join(labels).lower())
        rdata = (records or {}).get(int.from_bytes(question[at + 1 : at + 3], "big"))
        flags = 0x8180 | (_NXDOMAIN if records is None else 0)
        header = question[:2] + struct.pack("!5H", flags, 1, rdata is not None, 0, 0)
        if rdata is None:
            return header + asked
        # The owner is a pointer to the question's name (RFC 1035 §4.1.4).
        return header + asked + b"\xc0\x0c" + asked[-4:] + struct.pack("!IH", _TTL, len(rdata)) + rdata

    def _records(self, name: bytes) -> Records | None:
        """All that there is of a name; None if there is no such name."""
        if name in self._texts:
            return {_TXT: _text(self._texts[name])}
        if found := _REVERSE.fullmatch(name):
            return {_PTR: _name(b"h%s-%s-%s.hosts.example" % (found[3], found[2], found[1]))}
        if found := _HOST.fullmatch(name):
            return {_A: bytes((127, *map(int, found.groups())))}
        if _SENDER.fullmatch(name):
            return {_MX: b"\0\x0a" + _name(b"mx.senders.example"), _TXT: _text(SENDER_SPF)}
        if _LISTED.fullmatch(name) or _TEST_ENTRY.fullmatch(name):
            return {_A: b"\x7f\0\0\x02", _TXT: _text(b"listed, says the bench")}
        return None


def _name(name: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name.split(b".")) + b"\0"


def _text(text: bytes) -> bytes:
    """A TXT record's strings, of 255 octets at most each (RFC 1035 §3.3)."""
    strings = [text[at : at + 255] for at in range(0, len(text), 255)]
    return b"".join(bytes((len(string),)) + string for string in strings)


async def _serve(address: str, delay: float) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.bind((address, 53))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: NameServer(delay, {}), sock=sock)
    # Whoever started it waits until it is connected to.
    async with await asyncio.start_server(lambda reader, writer: writer.close(), address, 53) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], float(sys.argv[2]) / 1000))
