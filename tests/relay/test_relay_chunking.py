"""BDAT where it is offered: the same message, one round trip less, and no way to complete half of it."""

import asyncio
import itertools

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.content import Content
from smtpgate.relay import wire
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RelayReply
from smtpgate.relay.wire import ChunkEncoder, Unsendable
from tests.loops import let_pass
from tests.relay.scripted import CLOSE, HANG, offering, scripted
from tests.relay.sending import CONTENT, ENVELOPE, QUEUED, downstream_of, send

OFFER = {"EHLO": offering("PIPELINING", "CHUNKING", "8BITMIME")}
LARGE = Content.of(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 2_000_000)


async def test_a_message_goes_out_in_one_write_as_it_is():
    async with scripted(OFFER) as server:
        downstream = downstream_of(server)
        assert await send(downstream) == [QUEUED]
        assert await send(downstream, content=Content.of(b"Subject: y\r\n")) == [QUEUED]
    assert server.connections == 1
    assert server.contents == [b"Subject: x\r\n\r\n.hello\r\n..\r\nend", b"Subject: y\r\n"]
    assert server.verbs() == ["EHLO", *["MAIL", "RCPT", "BDAT"] * 2]
    assert server.commands[3] == b"BDAT %d LAST\r\n" % len(server.contents[0])


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_large_one_too(run):
    async def exchange():
        async with scripted(OFFER) as server:
            assert await send(downstream_of(server), content=LARGE) == [QUEUED]
        assert server.contents == [b"".join(map(bytes, LARGE))]

    run(exchange())


@pytest.mark.parametrize("code", [452, 554])
async def test_a_refused_chunk_is_held_to_its_rset(code):
    async with scripted({**OFFER, "BDAT": [b"%d 5.3.0 No\r\n" % code, b"250 Ok\r\n"]}) as server:
        downstream = downstream_of(server)
        assert [reply.code for reply in await send(downstream)] == [code]
        assert [reply.code for reply in await send(downstream)] == [250]
        assert server.connections == 1
    assert server.verbs()[3:5] == ["BDAT", "RSET"]


@pytest.mark.parametrize("answer", [CLOSE, b"421 4.3.2 Bye\r\n", b"354 Go\r\n", b"nonsense\r\n", HANG])
async def test_a_downstream_that_fails(answer):
    async with scripted({**OFFER, "BDAT": answer}) as server:
        downstream = downstream_of(server)
        sending = asyncio.create_task(send(downstream))
        if answer is HANG:
            await server.reached.wait()
            await let_pass(3600)
        with pytest.raises(DownstreamUnavailable):
            await sending
        assert downstream.connections() == (0, 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"552 5.3.4 Too big\r\n", [RelayReply(552, "5.3.4", "Too big")]),
        (b"452 4.3.1 Full\r\n", [RelayReply(452, "4.3.1", "Full")]),
        (b"250 2.0.0 Already?\r\n", None),
        (b"354 Go\r\n", None),
        (CLOSE, None),
    ],
)
async def test_an_answer_before_the_end_can_only_be_a_refusal(answer, expected):
    async with scripted({**OFFER, "BDAT": answer}, read_content=False) as server:
        downstream = downstream_of(server)
        if expected is None:
            with pytest.raises(DownstreamUnavailable):
                await send(downstream, content=LARGE)
        else:
            assert await send(downstream, content=LARGE) == expected
        assert downstream.connections() == (0, 0)  # what was half sent is never completed


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0\r\n", b"a\r\n\r"])
async def test_dangerous_content_is_not_delivered(content):
    async with scripted(OFFER) as server:
        downstream = downstream_of(server)
        with pytest.raises(Unsendable):
            await send(downstream, content=Content.of(b"x\r\n" * 100_000 + content))
        await server.gone[0].wait()
        assert server.contents == []
        assert downstream.connections() == (0, 0)


async def test_cancelled_in_the_middle():
    async with scripted({**OFFER, "BDAT": HANG}) as server:
        downstream = downstream_of(server)
        task = asyncio.create_task(send(downstream))
        await server.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert downstream.connections() == (0, 0)


async def test_eight_bits_are_needed_all_the_same():
    async with scripted({"EHLO": offering("CHUNKING")}) as server:
        [reply] = await send(downstream_of(server), Envelope("a@b.c", eight_bit=True), Content.of(b"\xe9\r\n"))
    assert (reply.code, reply.enhanced) == (554, "5.6.3")
    assert "BDAT" not in server.verbs()


async def test_lmtp_with_several_recipients_uses_data():
    script = {"LHLO": OFFER["EHLO"], "dot": b"250 Ok\r\n250 Ok\r\n"}
    async with scripted(script, scheme="lmtp") as server:
        downstream = downstream_of(server)
        assert len(await send(downstream, recipients=("a@x", "b@x"))) == 2
        assert len(await send(downstream, ENVELOPE, CONTENT, ("a@x",))) == 1
    assert [verb for verb in server.verbs() if verb in ("DATA", "BDAT")] == ["DATA", "BDAT"]


lines = st.lists(st.sampled_from([b"", b".", b"..", b"abc", b".x" * 9, b"y" * 70]), max_size=30)


@given(lines, st.booleans(), st.lists(st.integers(0, 400), max_size=6), st.integers(1, 9))
def test_however_it_is_cut_it_stays_what_it_is(lines, ends, cuts, chunk):
    content = b"\r\n".join(lines) + (b"\r\n" if ends else b"")
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    encoder, sent = ChunkEncoder(), b""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "CHUNK", chunk)
        for start, end in itertools.pairwise(places):
            sent += b"".join(encoder.encode(memoryview(content)[start:end]))
        sent += encoder.end()
    assert sent == content


pieces = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"a"]), max_size=12)


@given(pieces, st.integers(1, 9))
def test_content_is_refused_exactly_if_it_has_a_bare_cr_lf_or_nul(pieces, chunk):
    bare = any(byte in b"".join(pieces).replace(b"\r\n", b"") for byte in b"\r\n\0")
    encoder = ChunkEncoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "CHUNK", chunk)
        try:
            for piece in pieces:
                list(encoder.encode(piece))
            encoder.end()
        except Unsendable:
            assert bare
        else:
            assert not bare
