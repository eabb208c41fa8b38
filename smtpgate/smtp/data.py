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
        self._put_out = put
        # The line before the first one has ended: a dot may stand right at the start.
        self._carry = b"\r\n"
        self._virtual = 2  # how many of the next output bytes are that line end

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes from the client."""
        data = self._carry + chunk if self._carry else chunk
        start = 0  # of what was not put out yet
        dot = data.find(_LINE_DOT)
        while dot >= 0:
            behind = data[dot + 3 : dot + 5]
            if behind == b"\r\n":
                self._put(data[start : dot + 2])
                self.rest = data[dot + 5 :]
                self._carry = b""
                self.done = True
                return
            if _END.startswith(_LINE_DOT + behind):  # it may yet become the end
                self._put(data[start:dot])
                self._carry = data[dot:]
                return
            self._put(data[start : dot + 2])
            start = dot + 3
            # The line end before the dot is put out; "CRLF ." may begin inside of what follows the dot only.
            dot = data.find(_LINE_DOT, start)
        held = _held_back(data, start)
        self._put(data[start:held])
        self._carry = data[held:]

    def _put(self, piece: bytes) -> None:
        if self._virtual and piece:
            piece = piece[self._virtual :]
            self._virtual = 0
        if piece:
            self._put_out(piece)


def _held_back(data: bytes, start: int) -> int:
    """Where the bytes begin that could be the start of "CRLF ." when more comes."""
    if data.endswith(b"\r\n") and len(data) - 2 >= start:
        return len(data) - 2
    if data.endswith(b"\r") and len(data) - 1 >= start:
        return len(data) - 1
    return len(data)
