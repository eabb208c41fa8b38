"""`python -m bench.answers`: a DNS server that answers as fast as Python can, in a process of its own.

What it answers depends on the type that is asked for, and for A also on the name: "listed" ones have an address, "free"
ones do not exist, as on a block list.
"""

import socket
import struct

_A, _PTR, _MX, _TXT = 1, 12, 15, 16
_SOA = b"\xc0\x0c\0\6\0\1\0\0\0\x3c\0\x1a" + b"\2ns\0" + b"\0" + struct.pack("!5I", 1, 2, 3, 4, 300)
_SOA = _SOA[:11] + bytes((len(_SOA) - 12,)) + _SOA[12:]


def main() -> None:
    """Bind, print the port, answer until ended."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    records = {
        _A: _record(_A, bytes((127, 0, 0, 2))),
        _PTR: _record(_PTR, b"\4host\7clients\7example\0"),
        _MX: _record(_MX, b"\0\x0a\2mx\xc0\x0c"),
        _TXT: _record(_TXT, b"\x1fv=spf1 ip4:192.0.2.0/24 mx -all"),
    }
    while True:
        question, client = sock.recvfrom(4096)
        end = question.index(b"\0", 12) + 5
        kind = question[end - 3]
        if question[13:17].lower() == b"free":
            header, answer = b"\x81\x83\0\1\0\0\0\1\0\0", _SOA
        else:
            header, answer = b"\x81\x80\0\1\0\1\0\0\0\0", records[kind]
        sock.sendto(question[:2] + header + question[12:end] + answer, client)


def _record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 300, len(data)) + data


if __name__ == "__main__":
    main()
