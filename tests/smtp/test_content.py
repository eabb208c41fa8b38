"""The content of a message: what is kept, what is counted, what becomes of its line ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.phases.reply import Reply
from smtpgate.smtp.content import BARE_LINE_END, LONG_LINE, NO_ROOM, TOO_LARGE
from tests.smtp.contents import new_content, new_memory, taken

PIECES = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b"\0", b"", b"xyz"]), max_size=30)

LINE_ENDS = [
    # what came in, what goes out when normalized, whether it is refused otherwise
    (b"", b"", False),
    (b"\r\n", b"\r\n", False),
    (b"a\r\nb\r\n", b"a\r\nb\r\n", False),
    (b"a", b"a\r\n", False),
    (b"a\r\nb", b"a\r\nb\r\n", False),
    (b"a\n", b"a\r\n", True),
    (b"\n.\n", b"\r\n.\r\n", True),
    (b"\n\n", b"\r\n\r\n", True),
    (b"a\rb\r\n", b"a b\r\n", True),
    (b"a\r", b"a \r\n", True),
    (b"\r", b" \r\n", True),
    (b"a\r\r\n", b"a \r\n", True),
    (b"a\n\rb\r\n", b"a\r\n b\r\n", True),
    (b"\r.\r", b" . \r\n", True),
]


@pytest.mark.parametrize(("came", "goes", "is_bare"), LINE_ENDS)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_line_ends(came: bytes, goes: bytes, is_bare: bool, size: int) -> None:
    strict, lenient = new_content(), new_content(bare_newline="normalize")
    for at in range(0, len(came), size):
        strict.add(came[at : at + size])
        lenient.add(came[at : at + size])
    assert taken(strict) == (b"" if is_bare else goes)
    assert strict.refusal == (BARE_LINE_END if is_bare else None)
    assert (taken(lenient), lenient.refusal, lenient.size) == (goes, None, len(goes))


@pytest.mark.parametrize("bare_newline", ["reject", "normalize"])
@pytest.mark.parametrize("came", [b"\0", b"a\0b\r\n", b"\r\0\n"])
def test_nul_is_always_refused(came: bytes, bare_newline: str) -> None:
    content = new_content(bare_newline=bare_newline)
    content.add(came)
    assert taken(content) == b""
    assert content.refusal == BARE_LINE_END


@given(PIECES)
def test_what_leaves_is_strict_wherever_it_was_cut(pieces: list[bytes]) -> None:
    joined = b"".join(pieces)
    for bare_newline in ("reject", "normalize"):
        cut, whole = new_content(bare_newline=bare_newline), new_content(bare_newline=bare_newline)
        for piece in pieces:
            cut.add(piece)
        whole.add(joined)
        left = taken(whole)
        assert (taken(cut), cut.size, cut.refusal) == (left, whole.size, whole.refusal)
        assert not set(left.replace(b"\r\n", b"")) & set(b"\r\n\0")
        assert left == b"" or left.endswith(b"\r\n")
        stray = joined.replace(b"\r\n", b"")
        if not set(stray) & set(b"\r\n\0"):
            assert whole.refusal is None
            assert left.removesuffix(b"\r\n") == joined.removesuffix(b"\r\n")


LINES = [
    (b"x" * 998 + b"\r\n", False),
    (b"x" * 999 + b"\r\n", True),
    (b"x" * 998, False),
    (b"x" * 999, True),
    (b"a\r\n" + b"x" * 998 + b"\r\nb\r\n", False),
    (b"a\r\n" + b"x" * 999 + b"\r\nb\r\n", True),
    (b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n", False),
    (b"a\r\n" + b"x" * 5000 + b"\r\n", True),
]


@pytest.mark.parametrize(("came", "is_long"), LINES)
@pytest.mark.parametrize("size", [1, 7, 499, 998, 999, 1000, 10_000])
def test_long_lines(came: bytes, is_long: bool, size: int) -> None:
    strict, usual = new_content(long_lines="reject"), new_content()
    for at in range(0, len(came), size):
        strict.add(came[at : at + size])
        usual.add(came[at : at + size])
    assert taken(strict).startswith(b"" if is_long else came)
    assert strict.refusal == (LONG_LINE if is_long else None)
    assert taken(usual).startswith(came)
    assert usual.refusal is None


def test_what_is_refused_is_not_held() -> None:
    memory = new_memory(100)
    content, other = new_content(memory=memory), new_content(memory=memory)
    content.add(b"x" * 60)
    assert memory.held == 60
    other.add(b"y" * 60)
    assert (other.refusal, memory.held) == (NO_ROOM, 60)
    content.add(b"\n")
    assert (content.refusal, memory.held) == (BARE_LINE_END, 0)
    other.add(b"more\r\n")
    assert (other.refusal, other.size, memory.held) == (NO_ROOM, 66, 0)
    assert taken(content) == taken(other) == b""


REFUSALS = [
    ([b"x" * 101], TOO_LARGE),
    ([b"x" * 90, b"\n", b"x" * 20], TOO_LARGE),
    ([b"x" * 60, b"\0"], NO_ROOM),
    ([b"\0", b"x" * 60], BARE_LINE_END),
]


@pytest.mark.parametrize(("pieces", "refusal"), REFUSALS)
def test_the_refusal_that_is_given(pieces: list[bytes], refusal: Reply) -> None:
    """Too large is too large, whatever else; otherwise the first reason."""
    content = new_content(memory=new_memory(50), largest=100)
    for piece in pieces:
        content.add(piece)
    assert taken(content) == b""
    assert content.refusal == refusal


def test_closing_frees_its_memory_once() -> None:
    memory = new_memory(100)
    content = new_content(memory=memory)
    content.add(b"kept\r\n")
    content.close()
    content.close()
    assert memory.held == 0
