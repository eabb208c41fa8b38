"""DATA at every chunk boundary: what was sent is what comes out, and only CRLF . CRLF ends it."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.smtp.content import BARE_LINE_END, TOO_LARGE
from smtpgate.smtp.data import DataDecoder
from tests.smtp.contents import new_content, taken

# Pieces that make line ends, dots and their neighbours frequent.
PIECES = st.sampled_from([b"\r\n", b".", b"..", b"\r\n.", b"a", b"xyz", b"\r", b"\n", b"\0", b"\r\n..\r\n", b" "])
CONTENT = st.lists(PIECES, max_size=30).map(b"".join)


def stuffed(content: bytes) -> bytes:
    """As a client sends it: RFC 5321 §4.5.2, said in one line."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


class Fed:
    """What came of the wire bytes, fed in pieces of the given sizes in turn; what is behind the end goes to `rest`."""

    def __init__(self, wire: bytes, cuts: list[int], **limits: Any) -> None:
        content = new_content(**limits)
        decoder = DataDecoder(content.add)
        at = turn = 0
        while not decoder.done and at < len(wire):
            size = cuts[turn % len(cuts)]
            decoder.feed(wire[at : at + size])
            at, turn = at + size, turn + 1
        self.done = decoder.done
        self.rest = decoder.rest + wire[at:]
        self.content, self.size, self.refusal = taken(content), content.size, content.refusal


@given(CONTENT, st.lists(st.integers(1, 7), min_size=1, max_size=20))
@example(b"", [1])
@example(b".\r\n", [1])
@example(b"..\r\n.\r\n", [3])
@example(b"a\r\n\r\n", [1, 2])
def test_what_was_sent_comes_out(content: bytes, cuts: list[int]) -> None:
    content += b"" if not content or content.endswith(b"\r\n") else b"\r\n"
    wire = stuffed(content) + b"QUIT\r\n"
    fed = Fed(wire, cuts)
    assert fed.done
    assert fed.rest == b"QUIT\r\n"
    alone = content.replace(b"\r\n", b"")
    if any(byte in alone for byte in b"\r\n\0"):
        assert (fed.refusal, fed.content) == (BARE_LINE_END, b"")
    else:
        assert (fed.refusal, fed.content, fed.size) == (None, content, len(content))


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_any_bytes_give_the_same_whole_and_cut(wire: bytes, cuts: list[int]) -> None:
    for bare_newline in ("reject", "normalize"):
        whole = Fed(wire, [len(wire) or 1], bare_newline=bare_newline)
        cut = Fed(wire, cuts, bare_newline=bare_newline)
        assert vars(whole) == vars(cut)


SMUGGLED = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r.\n", b"\n.\r", b"\n\n.\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\n\r.\r\n", b"\r\n.\n\r", b"\r\n.\r\0\n",
    b"\n.\n\n", b"\r\n .\r\n",
]  # fmt: skip


@pytest.mark.parametrize("end", SMUGGLED)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_no_other_end(end: bytes, size: int) -> None:
    """Everything that some server takes for an end of data stays inside one message."""
    inner = b"MAIL FROM:<x@evil.example>\r\n"
    wire = b"text" + end + inner + b"\r\n.\r\n"
    fed = Fed(wire, [size])
    assert (fed.done, fed.rest) == (True, b"")
    assert fed.refusal == (BARE_LINE_END if end != b"\r\n .\r\n" else None)
    fed = Fed(wire, [size], bare_newline="normalize")
    assert (fed.done, fed.rest) == (True, b"")
    assert fed.refusal == (BARE_LINE_END if b"\0" in end else None)
    assert inner in fed.content or fed.refusal
    assert not set(fed.content.replace(b"\r\n", b"")) & set(b"\r\n\0")


@pytest.mark.parametrize(("length", "too_large"), [(99, False), (100, False), (101, True), (5000, True)])
@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_limit(length: int, too_large: bool, size: int) -> None:
    content = b"x" * (length - 2) + b"\r\n"
    fed = Fed(stuffed(content) + b"NOOP", [size], largest=100)
    assert fed.done
    assert fed.refusal == (TOO_LARGE if too_large else None)
    assert fed.size == length
    assert fed.content == (b"" if too_large else content)
    assert fed.rest == b"NOOP"
