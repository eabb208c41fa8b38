import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.relay.downstream import RelayReply
from smtpgate.relay.replies import MAX_LINE, MAX_LINES, MAX_OCTETS, MAX_TEXT, Nonsense, ReplyParser

REPLIES = [
    b"250 Ok\r\n",
    b"550-5.1.1 a\r\n550 5.1.1 b\r\n",
    b"354 x\n",
    b"250-" + b"x" * (MAX_LINE - 6) + b"\r\r\r\n250 " + b"x" * (MAX_LINE - 5) + b"\r\0\xff\r\n",
]
NOT_YET = [b"", b"2", b"250 Ok", b"250-Ok\r\n250", b"250 Ok\r", b"250-" + b"x" * (MAX_LINE + 9)]
NO_REPLIES = [b"\r\n", b"Ok\r\n", b"250-Ok\r\n\r\n", b"250-Ok\r\n550 no\r\n", b"x" * MAX_LINE]


def parsed(data: bytes) -> list[RelayReply]:
    return [reply.joined for reply in ReplyParser().feed(data)]


def in_pieces(stream: bytes, cuts: list[int], parser: ReplyParser) -> tuple[list[RelayReply], bool]:
    """The replies, and whether what followed them was none."""
    got: list[RelayReply] = []
    try:
        for start, end in itertools.pairwise([0, *sorted(cuts), len(stream)]):
            got.extend(reply.joined for reply in parser.feed(stream[start:end]))
    except Nonsense:
        return got, True
    return got, False


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"250 2.1.0 Ok\r\n", RelayReply(250, "2.1.0", "Ok")),
        (b"250 Ok\r\n", RelayReply(250, None, "Ok")),
        (b"250\r\n", RelayReply(250, None, "")),
        (b"250 \r\n", RelayReply(250, None, "")),
        (b"250 2.1.5\r\n", RelayReply(250, "2.1.5", "")),
        (b"250 Ok\n", RelayReply(250, None, "Ok")),
        (b"550-5.7.1 No\r\n550 5.7.1 way\r\n", RelayReply(550, "5.7.1", "No way")),
        (b"550-No\r\n550 5.7.1 way\r\n", RelayReply(550, "5.7.1", "No way")),
        (b"450 5.7.1 Odd class\r\n", RelayReply(450, None, "5.7.1 Odd class")),
        (b"250 2.1.50000 Ok\r\n", RelayReply(250, None, "2.1.50000 Ok")),
        (b"354 Go\r\n", RelayReply(354, None, "Go")),
        ("550 5.1.1 né\r\n".encode(), RelayReply(550, "5.1.1", "né")),
        (b"550 5.1.1 \xff\r\n", RelayReply(550, "5.1.1", "\ufffd")),
        (b"250 2.0.0 \0\r\n", RelayReply(250, "2.0.0", "\0")),
        (b"250\r\r\n", RelayReply(250, None, "")),
        (b"250 a\rb\r\r\n", RelayReply(250, None, "a\rb")),
        # The last code counts, as it does for Postfix, where no line says the opposite of another.
        (b"250-2.0.0 Ok\r\n251 2.0.0 elsewhere\r\n", RelayReply(251, "2.0.0", "Ok elsewhere")),
        (b"550-No\r\n554-such\r\n551 user\r\n", RelayReply(551, None, "No such user")),
        (b"450-Later\r\n421 Bye\r\n", RelayReply(421, None, "Later Bye")),
        (b"250 " + b"x" * 2 * MAX_LINE + b"\r\n", RelayReply(250, None, "x" * (MAX_LINE - 4))),
    ],
)
def test_replies(data, expected):
    assert parsed(data) == [expected]


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"25 Ok\r\n",
        b"2500 Ok\r\n",
        b"250_Ok\r\n",
        b"150 Ok\r\n",
        b"600 Ok\r\n",
        b" 250 Ok\r\n",
        "٢٥٠ Ok\r\n".encode(),
        b"250-Ok\r\n550-no\r\n",
        b"550-no\r\n250 Ok\r\n",
        b"450-later\r\n550 no\r\n",
        b"250 Ok\r250 Ok\0" + b"x" * MAX_OCTETS,
        b"250 " + b"x" * MAX_OCTETS,
        b"x" * MAX_LINE,
        b"250-x\r\n" * MAX_LINES,
    ],
)
def test_nonsense(data):
    with pytest.raises(Nonsense):
        parsed(data)


def test_the_longest_that_is_taken():
    longest = b"250-" + b"x" * 2000 + b"\r\n"
    [reply] = parsed(longest * (MAX_LINES - 1) + b"250 end\r\n")
    assert reply.text == ("x" * 2000 + " " + "x" * 2000)[:MAX_TEXT]


@given(st.lists(st.sampled_from(REPLIES)), st.sampled_from(NOT_YET), st.data())
def test_how_it_is_cut_makes_no_difference(replies, rest, data):
    stream = b"".join(replies) + rest
    parser = ReplyParser()
    expected = [one for reply in replies for one in parsed(reply)]
    assert in_pieces(stream, data.draw(st.lists(st.integers(0, len(stream)))), parser) == (expected, False)
    assert parser.is_between_replies == (not rest)


@given(st.lists(st.sampled_from(REPLIES), max_size=3), st.sampled_from(NO_REPLIES), st.data())
def test_replies_before_nonsense_count_however_it_is_cut(replies, nonsense, data):
    """The first may have said that a message was taken: it must not be sent again."""
    stream = b"".join(replies) + nonsense
    expected = [one for reply in replies for one in parsed(reply)]
    assert in_pieces(stream, data.draw(st.lists(st.integers(0, len(stream)))), ReplyParser()) == (expected, True)


@pytest.mark.parametrize("piece", [b"250" + b" " * 1000, b"250-x\r\n", b"250-" + b"x" * 5000 + b"\r\n"])
def test_what_never_ends_is_bounded(piece):
    parser = ReplyParser()
    try:
        for _ in range(MAX_OCTETS // len(piece) + 1):
            assert list(parser.feed(piece)) == []
            assert len(parser._rest) <= MAX_LINE
            assert sum(len(line.lines[0]) for line in parser._lines) <= MAX_LINES * MAX_LINE
    except Nonsense:
        return
    raise AssertionError("it is read for ever")


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_raise_nonsense(data):
    try:
        parsed(data)
    except Nonsense:
        pass
