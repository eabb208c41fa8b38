"""Taking in DATA: finds the end, takes the stuffed dots out, watches size and line ends. Knows no sockets.

Rules it keeps:
- Only CRLF . CRLF ends the data (RFC 5321 §4.1.1.4), wherever the chunks are cut.
- The first dot of a line is removed (§4.5.2); every other byte stays what it is, in its place.
- A bare CR, a bare LF or a NUL is noted: such a message must never leave (SMTP smuggling).
- Beyond the limit content is dropped, not kept, while the end is still searched for.
"""

_LINE_DOT = b"\r\n."
_END = b"\r\n.\r\n"


class DataDecoder:
    """Feed it chunks until `done`.

    limit: the longest content in octets. content: what was kept. size: octets of the whole content. rest: what
    came behind the end. strict: False if a bare CR, LF or NUL was seen.
    """

    def __init__(self, limit: int) -> None:
        self.done = False
        self.strict = True
        self.size = 0
        self.rest = b""
        self._limit = limit
        self._kept: list[bytes] = []
        # The line before the first one has ended: a dot may stand right at the start.
        self._carry = b"\r\n"
        self._virtual = 2  # how many of the next output bytes are that line end

    @property
    def too_large(self) -> bool:
        """Whether the content went beyond the limit."""
        return self.size > self._limit

    @property
    def content(self) -> bytes:
        """The content, dots un-stuffed; empty if it was too large."""
        return b"".join(self._kept)

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

    def discard(self) -> None:
        """Keep nothing of it, now and later: there is no room."""
        self._limit = -1
        self._kept.clear()

    def _put(self, piece: bytes) -> None:
        # A piece never cuts a CRLF in two, so counting tells whether every CR and LF is part of one.
        newlines = piece.count(b"\n")
        if newlines != piece.count(b"\r\n") or newlines != piece.count(b"\r") or b"\0" in piece:
            self.strict = False
        if self._virtual and piece:
            piece = piece[self._virtual :]
            self._virtual = 0
        self.size += len(piece)
        if self.size > self._limit:
            self._kept.clear()
        else:
            self._kept.append(piece)


def _held_back(data: bytes, start: int) -> int:
    """Where the bytes begin that could be the start of "CRLF ." when more comes."""
    if data.endswith(b"\r\n") and len(data) - 2 >= start:
        return len(data) - 2
    if data.endswith(b"\r") and len(data) - 1 >= start:
        return len(data) - 1
    return len(data)
