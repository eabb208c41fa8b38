"""A DNS server on loopback with a world of strangers in it, which answers with a delay as the real one does.

Each client 127.x.y.z has a name that leads back to it; each domain dN.senders.example an MX and an SPF record that
needs another look-up; every tenth client is on the block list zen.spamhaus.org, nobody on any other. Answers are put
together from octets: they must cost little beside the servers that are measured.

`python -m bench.name_server ADDRESS DELAY` answers on port 53 until it is ended. DELAY: milliseconds.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any

import uvloop

SENDER_SPF = b"v=spf1 include:_spf.senders.example -all"
_A, _PTR, _MX, _TXT = b"\0\1", b"\0\x0c", b"\0\x0f", b"\0\x10"
_TTL = 300
# Flags and counts of a response to one question (RFC 1035 §4.1.1).
_ANSWER = struct.pack("!5H", 0x8180, 1, 1, 0, 0)
_NO_DATA = struct.pack("!5H", 0x8180, 1, 0, 0, 0)
_NO_NAME = struct.pack("!5H", 0x8183, 1, 0, 0, 0)
# From a name on the wire to its text, in lower case: lengths of labels become dots. No label in this world is so long
# that its length would be an octet of a name, of which "-" (45) is the first.
_TO_TEXT = b"." * 45 + bytes(range(45, 256)).lower()
# Many clients ask at one moment; a question that is dropped would be measured as seconds of waiting.
_RECEIVE_BUFFER = 8 * 2**20
_SO_RCVBUFFORCE = 33

Records = Mapping[bytes, bytes]  # by type, what follows the question in a response
_Response = tuple[bytes, Any]  # and to which address


class NameServer:
    """Answers on a bound UDP socket, which becomes its own, on the running event loop. asked: how many questions.

    delay: seconds before each answer. texts: TXT records by name, lower case.
    """

    def __init__(self, sock: socket.socket, delay: float, texts: Mapping[str, bytes]) -> None:
        self.asked = 0
        self._delay = delay
        self._known = _KNOWN | {name.encode(): {_TXT: _text(text)} for name, text in texts.items()}
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        sock.setblocking(False)
        self._loop.add_reader(sock, self._answer)

    def close(self) -> None:
        """Answer nothing more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _answer(self) -> None:
        """Answer all that has come in, later."""
        responses: list[_Response] = []
        try:
            while True:
                question, client = self._socket.recvfrom(512)
                responses.append((self._response(question), client))
        except BlockingIOError:
            pass
        self.asked += len(responses)
        if self._delay:
            self._loop.call_later(self._delay, self._send, responses)
        else:
            self._send(responses)

    def _send(self, responses: list[_Response]) -> None:
        for response in responses:
            self._socket.sendto(*response)

    def _response(self, question: bytes) -> bytes:
        """The answer to a question, of which only the first is looked at (RFC 1035 §4.1)."""
        end = question.index(0, 12)
        name = question[13:end].translate(_TO_TEXT)
        records = self._known.get(name) or _records(name)
        if records is None:
            return question[:2] + _NO_NAME + question[12 : end + 5]
        if record := records.get(question[end + 1 : end + 3]):
            return question[:2] + _ANSWER + question[12 : end + 5] + record
        return question[:2] + _NO_DATA + question[12 : end + 5]


def _records(name: bytes) -> Records | None:
    """All that there is of a stranger's name; None if there is no such name."""
    match name.split(b"."):
        case [z, y, x, b"127", b"in-addr", b"arpa"]:
            return {_PTR: _record(_PTR, _name(b"h%b-%b-%b.hosts.example" % (x, y, z)))}
        case [host, b"hosts", b"example"]:
            return {_A: _record(_A, bytes((127, *map(int, host[1:].split(b"-")))))}
        case [sender, b"senders", b"example"] if sender.startswith(b"d"):
            return _SENDER
        case [z, _, _, b"127", b"zen", b"spamhaus", b"org"] if z.endswith(b"0"):
            return _LISTED
    return None


def _record(kind: bytes, data: bytes) -> bytes:
    """A record whose owner is a pointer to the question's name (RFC 1035 §4.1.4), of class IN."""
    return b"\xc0\x0c" + kind + struct.pack("!HIH", 1, _TTL, len(data)) + data


def _name(name: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name.split(b".")) + b"\0"


def _text(text: bytes) -> bytes:
    """A TXT record's strings, of 255 octets at most each (RFC 1035 §3.3)."""
    strings = [text[at : at + 255] for at in range(0, len(text), 255)]
    return _record(_TXT, b"".join(bytes((len(string),)) + string for string in strings))


_SENDER = {_MX: _record(_MX, b"\0\x0a" + _name(b"mx.senders.example")), _TXT: _text(SENDER_SPF)}
_LISTED = {_A: _record(_A, b"\x7f\0\0\x02"), _TXT: _text(b"listed, says the bench")}
_LISTS = [b"zen.spamhaus.org", *(b"list%d.example" % number for number in range(10))]
_KNOWN: dict[bytes, Records] = {
    b"_spf.senders.example": {_TXT: _text(b"v=spf1 ip4:127.0.0.0/8 -all")},
    # RFC 5782 §5: a list that does not list 127.0.0.2 is no list, and is not asked.
    **{b"2.0.0.127." + name: _LISTED for name in _LISTS},
}


async def _serve(address: str, delay: float) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.bind((address, 53))
    NameServer(sock, delay, {})
    # Whoever started it waits until it is connected to.
    async with await asyncio.start_server(lambda reader, writer: writer.close(), address, 53) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], float(sys.argv[2]) / 1000))
