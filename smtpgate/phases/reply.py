"""An SMTP reply whose two codes cannot contradict each other."""

import re
from dataclasses import dataclass, field

_DETAIL = re.compile(r"\d{1,3}\.\d{1,3}\Z")
_UNPRINTABLE = re.compile(r"[^ -~]+")
# RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets, CRLF included. 40 are kept for codes and reference.
_LONGEST_TEXT = 470


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a client.

    code: the SMTP code. detail: the last two numbers of the enhanced status code ("7.1"); the first is the code's
    first digit (RFC 3463 §3.1), so that a 4xx with 5.x.x cannot exist. text: what a person reads; anything but
    printable ASCII becomes "?", so that nothing can be injected. is_positive: whether the command succeeded (2xx).
    """

    code: int
    detail: str
    text: str
    is_positive: bool = field(init=False, repr=False, compare=False)
    _line: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.code // 100 not in (2, 4, 5) or not _DETAIL.match(self.detail):
            raise ValueError(f"not a reply: {self.code} {self.detail}")
        # Most replies are made once and sent often.
        object.__setattr__(self, "is_positive", self.code < 300)
        text = self.text if self.text.isascii() and self.text.isprintable() else _UNPRINTABLE.sub("?", self.text)
        object.__setattr__(self, "_line", f"{self.code} {self.enhanced} {text[:_LONGEST_TEXT]}")

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), such as "5.7.1"."""
        return f"{self.code // 100}.{self.detail}"

    @property
    def is_temporary(self) -> bool:
        """Whether the client may try again (4xx)."""
        return 400 <= self.code < 500

    def line(self, ref: str | None = None) -> str:
        """The reply as one line without its line end; `ref` is appended so that support can find the record."""
        return f"{self._line} (ref {ref})" if ref else self._line

    def __str__(self) -> str:
        return self.line()
