from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.relay import wire
from smtpgate.relay.wire import Encoder, Unsendable, checked_address

lines = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x.", b". ", b"\xe9.", b"Subject: y"]))
strict = st.builds(lambda taken, tail: b"\r\n".join([*taken, tail]), lines, st.sampled_from([b"", b".", b"x"]))


def encoded(content: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    encoder = Encoder()
    for piece in content:
        yield from encoder.encode(piece)
    yield encoder.end()


def decoded(data: bytes) -> bytes:
    """What an SMTP server makes of it (RFC 5321 §4.5.2), written as differently as can be."""
    *sent, rest = data.split(b"\r\n")
    assert rest == b""
    assert sent.index(b".") == len(sent) - 1  # the end is where it should be, and nowhere else
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in sent[:-1])


def pieces(content: bytes, cuts: list[int]) -> list[bytes | memoryview]:
    ends = sorted(cut % (len(content) + 1) for cut in cuts)
    cut = [content[start:end] for start, end in zip([0, *ends], [*ends, len(content)], strict=True)]
    return [memoryview(piece) if number % 2 else piece for number, piece in enumerate(cut)]


@given(strict, st.lists(st.integers(0, 1000), max_size=12), st.integers(1, 9))
@example(b"a\r\n.\r\nb", [1, 2, 3, 4, 5], 1)
def test_however_it_is_cut_the_wire_bytes_are_the_same_and_decode_to_the_content(content, cuts, chunk):
    whole = b"".join(encoded([content]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "CHUNK", chunk)
        assert b"".join(encoded(pieces(content, cuts))) == whole
    ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert decoded(whole) == ended


@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b".", b"a"]), max_size=12).map(b"".join),
    st.lists(st.integers(0, 1000), max_size=6),
    st.integers(1, 9),
)
@example(b"\r", [], 1)
@example(b"a\r\r\n", [2], 9)
@example(b"\n", [], 9)
def test_content_is_refused_exactly_if_it_has_a_bare_cr_lf_or_nul(content, cuts, chunk):
    bare = any(byte in content.replace(b"\r\n", b"") for byte in b"\r\n\0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "CHUNK", chunk)
        try:
            sent = b"".join(encoded(pieces(content, cuts)))
        except Unsendable:
            assert bare
        else:
            assert not bare
            decoded(sent)


def test_what_leaves_before_the_refusal_is_no_whole_message():
    sent = []
    with pytest.raises(Unsendable):
        sent += encoded([b"a\r\n" * wire.CHUNK, b"b\n.\n", b"MAIL FROM:<x@y>\r\n"])
    assert not b"".join(sent).endswith(b"\r\n.\r\n")


def test_large_content_comes_in_bounded_chunks():
    assert max(map(len, encoded([b"x" * 70 + b"\r\n" * 5_000_000]))) <= wire.CHUNK + len(b"..\r\n")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a@b.c",
        '"a b"@c.d',
        '"a<b>"@c.d',
        r'"a\"b\\"@c.d',
        "é@bücher.example",
        "a@[IPv6:::1]",
        "postmaster",
        "@a:b@c",
    ],
)
def test_addresses_that_can_be_sent(address):
    assert checked_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "a\r\n@b.c", "a@b.c\n", "a@b.c\r\nDATA", "a\0@b.c", "a b@c.d", "a@b.c> SIZE=1", "<a@b.c", "a@b.c>", '"a@b.c',
        '"a\r\nb"@c.d', '"a\\\nb"@c.d', '"a"b c"@d.e', "a\\ b@c.d", "a\tb@c.d", "a\x7f@b.c", "a\x85@b.c", "a\xa0@b.c",
        "a@b.c\\",
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_sent(address):
    with pytest.raises(Unsendable):
        checked_address(address)


def test_a_hostile_address_is_refused_in_linear_time():
    with pytest.raises(Unsendable):
        checked_address("a" * 100_000 + '"' + "b" * 100_000)
