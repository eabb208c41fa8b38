"""The content of a message while it comes in, by DATA or by BDAT: kept within bounds, its line ends watched.

Its pieces may be cut anywhere, between CR and LF too.
"""

import io
import re
from dataclasses import dataclass

from smtpgate.content import Content
from smtpgate.phases.reply import Reply
from smtpgate.smtp.storage import Storage

TOO_LARGE = Reply(552, "3.4", "Message size exceeds the fixed limit")
NO_ROOM = Reply(452, "3.1", "Insufficient system storage, please try again later")
BARE_LINE_END = Reply(550, "5.2", "Message contains bare CR, bare LF or NUL characters")
LONG_LINE = Reply(550, "5.2", "Message contains a line longer than 998 octets")

# RFC 5321 §4.5.3.1.6: 1000 octets with the CRLF, of which the CR counts as part of the line here.
_LONGEST_LINE = 999
_LONG_LINE = re.compile(rb"\n[^\n]{%d}" % (_LONGEST_LINE + 1))


@dataclass(frozen=True, slots=True)
class LinePolicy:
    """What is done with irregular lines: the options of these names in section [server]."""

    bare_newline: str = "reject"
    long_lines: str = "pass"


class Incoming:
    """The content so far: add() what comes, flush() whenever it is_behind, then finish().

    size: octets as they will be passed on, kept or not. largest: the size that is kept. refusal: why it must never
    leave, whatever the rules say.

    Once it is refused, nothing of it is kept any more; its octets are still counted.
    """

    def __init__(self, largest: int, storage: Storage, lines: LinePolicy) -> None:
        self.size = 0
        self._largest = largest
        self._storage = storage
        self._lines = lines
        self.refusal: Reply | None = None
        self._cr = False  # a CR that waits for its LF
        self._line = 0  # octets of the last line so far

    def add(self, piece: bytes) -> None:
        """Take in the next octets."""
        if self._cr:
            piece = b"\r" + piece
        self._cr = piece.endswith(b"\r")
        self._keep(self._checked(piece[:-1] if self._cr else piece))

    @property
    def is_behind(self) -> bool:
        """Whether flush() must be awaited before more is read from the client."""
        return self._storage.is_behind

    async def flush(self) -> None:
        """Wait for the disk."""
        await self._storage.flush()
        if self._storage.has_failed:
            self._refuse(NO_ROOM)

    async def finish(self) -> Content | None:
        """There is no more: all of it, there until close(); None if it is refused.

        RFC 3030 lets BDAT end inside a line: that line is completed, as Postfix does.
        """
        if self._cr:
            self._cr = False
            self._keep(self._checked(b"\r"))
        if self._line:
            self._keep(self._checked(b"\r\n"))
        content = await self._storage.finish()
        if content is None:
            self._refuse(NO_ROOM)
        if content is None or self.refusal:
            return None
        content.strict = True
        return content

    def close(self) -> None:
        """Nobody needs it any more, nor the content that finish() gave."""
        self._storage.close()

    def _checked(self, piece: bytes) -> bytes:
        """The piece with its line ends as they may leave; no CRLF is cut in two."""
        if b"\0" in piece:
            self._refuse(BARE_LINE_END)
        if not _has_only_crlf(piece):
            if self._lines.bare_newline == "reject":
                self._refuse(BARE_LINE_END)
            # As Postfix does with smtpd_forbid_bare_newline = normalize and cleanup_replace_stray_cr_lf.
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n")
        self._measure_lines(piece)
        return piece

    def _measure_lines(self, piece: bytes) -> None:
        first = piece.find(b"\n")
        longest = self._line + (len(piece) if first < 0 else first)
        self._line = longest if first < 0 else len(piece) - piece.rfind(b"\n") - 1
        if self._lines.long_lines == "reject" and (
            longest > _LONGEST_LINE or (first >= 0 and _LONG_LINE.search(piece, first))
        ):
            self._refuse(LONG_LINE)

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._largest:
            self.refusal = TOO_LARGE
        if self.refusal is None:
            self._storage.append(piece)
            if self._storage.has_failed:
                self._refuse(NO_ROOM)
        if self.refusal is not None:
            self.close()

    def _refuse(self, reply: Reply) -> None:
        self.refusal = self.refusal or reply


def _has_only_crlf(piece: bytes) -> bool:
    """Whether every CR has its LF and every LF its CR.

    All octets of a large message pass here: what Python has for reading text notes each kind of line end that it sees,
    in a third of the time of two searches.
    """
    line_ends = io.IncrementalNewlineDecoder(None, translate=False)
    line_ends.decode(piece.decode("latin-1"), final=True)
    return line_ends.newlines in (None, "\r\n")
