"""DATA at every chunk boundary: what was sent is what comes out, and only CRLF . CRLF ends it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.smtp.data import DataDecoder

LIMIT = 10**6
# Pieces that make line ends, dots and their neighbours frequent.
PIECES = st.sampled_from([b"\r\n", b".", b"..", b"\r\n.", b"a", b"xyz", b"\r", b"\n", b"\0", b"\r\n..\r\n", b" "])
CONTENT = st.lists(PIECES, max_size=30).map(b"".join)


def stuffed(content: bytes) -> bytes:
    """As a client sends it: RFC 5321 §4.5.2, said in one line."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def feed(wire: bytes, cuts: list[int], limit: int = LIMIT) -> DataDecoder:
    """Feed the wire bytes in pieces of the given sizes, in turn; what is left behind the end goes to `rest`."""
    decoder = DataDecoder(limit)
    at = turn = 0
    while not decoder.done and at < len(wire):
        size = cuts[turn % len(cuts)]
        decoder.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
    decoder.rest += wire[at:]
    return decoder


@given(CONTENT, st.lists(st.integers(1, 7), min_size=1, max_size=20))
@example(b"", [1])
@example(b".\r\n", [1])
@example(b"..\r\n.\r\n", [3])
@example(b"a\r\n\r\n", [1, 2])
def test_what_was_sent_comes_out(content: bytes, cuts: list[int]) -> None:
    content += b"" if not content or content.endswith(b"\r\n") else b"\r\n"
    wire = stuffed(content) + b"QUIT\r\n"
    decoder = feed(wire, cuts)
    assert decoder.done
    assert decoder.content == content
    assert decoder.rest == b"QUIT\r\n"
    assert decoder.size == len(content)
    alone = content.replace(b"\r\n", b"")
    assert decoder.strict is not any(byte in alone for byte in b"\r\n\0")


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_any_bytes_give_the_same_whole_and_cut(wire: bytes, cuts: list[int]) -> None:
    whole, cut = feed(wire, [len(wire) or 1]), feed(wire, cuts)
    assert (whole.done, whole.content, whole.rest, whole.strict, whole.size) == (
        cut.done, cut.content, cut.rest, cut.strict, cut.size,
    )  # fmt: skip


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
    decoder = feed(b"text" + end + inner + b"\r\n.\r\n", [size])
    assert decoder.done
    assert decoder.rest == b""
    assert inner in decoder.content
    if end != b"\r\n .\r\n":
        assert not decoder.strict


@pytest.mark.parametrize(("length", "too_large"), [(99, False), (100, False), (101, True), (5000, True)])
@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_limit(length: int, too_large: bool, size: int) -> None:
    content = b"x" * (length - 2) + b"\r\n"
    decoder = feed(stuffed(content) + b"NOOP", [size], limit=100)
    assert decoder.done
    assert decoder.too_large is too_large
    assert decoder.size == length
    assert decoder.content == (b"" if too_large else content)
    assert decoder.rest == b"NOOP"


def test_discard_keeps_nothing() -> None:
    decoder = DataDecoder(LIMIT)
    decoder.feed(b"kept\r\nso far")
    decoder.discard()
    decoder.feed(b" and more\r\n.\r\n")
    assert decoder.done
    assert decoder.content == b""
