"""Taking in DATA: finds the end and takes the stuffed dots out. Knows no sockets, and nothing of what it passes on.

Rules it keeps:
- Only CRLF . CRLF ends the data (RFC 5321 §4.1.1.4), wherever the chunks are cut, whatever is done with bare line ends.
- The first dot of a line is removed (§4.5.2); every other byte stays what it is, in its place.
"""

from collections.abc import Callable

_LINE_DOT = b"\r\n."
_END = b"\r\n.\r\n"


class DataDecoder:
    """Feed it chunks until `done`. put: is given the content, piece by piece. rest: what came behind the end."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self.done = False
        self.rest = b""
        self._put = put
        # The line before the first one has ended: a dot may stand right at the start.
        self._carry = b"\r\n"
        self._virtual = 2  # how many of the next output bytes are that line end

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes from the client."""
        data = self._carry + chunk
        dot = data.find(_LINE_DOT) if b"." in data else -1  # in base64 there is none at all
        end = data.find(_END, dot) if dot >= 0 else -1
        self.done = end >= 0
        if self.done:
            piece, self._carry, self.rest = data[: end + 2], b"", data[end + len(_END) :]
        else:
            held = _held_back(data)
            piece, self._carry = data[:held], data[held:]
        # A piece never cuts a line end from the dot behind it. All dots at once: a message may consist of them.
        if dot != end:
            piece = piece.replace(_LINE_DOT, b"\r\n")
        if self._virtual and piece:
            piece = piece[self._virtual :]
            self._virtual = 0
        if piece:
            self._put(piece)


def _held_back(data: bytes) -> int:
    """Where the bytes begin that could be the start of the end when more comes."""
    for length in range(len(_END) - 1, 0, -1):
        if data.endswith(_END[:length]):
            return len(data) - length
    return len(data)
