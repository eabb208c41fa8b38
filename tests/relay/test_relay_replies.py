import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.relay.downstream import RelayReply
from smtpgate.relay.replies import MAX_LINE, MAX_LINES, MAX_TEXT, Nonsense, ReplyParser


def parsed(data: bytes) -> list[RelayReply]:
    return [reply.joined() for reply in ReplyParser().feed(data)]


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
        b"250-Ok\r\n251 Ok\r\n",
        b"250-Ok\r\n550-no\r\n",
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"x" * (MAX_LINE + 1),
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


@given(st.lists(st.sampled_from([b"250 Ok\r\n", b"550-5.1.1 a\r\n550 5.1.1 b\r\n", b"354 x\n"])), st.data())
def test_how_it_is_cut_makes_no_difference(replies, data):
    stream = b"".join(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    parser = ReplyParser()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += [reply.joined() for reply in parser.feed(stream[start:end])]
    assert got == parsed(stream)
    assert parser.is_between_replies


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_raise_nonsense(data):
    try:
        parsed(data)
    except Nonsense:
        pass
