"""The SMTP and LMTP client against a scripted downstream."""

import asyncio
import hashlib

import pytest
import uvloop

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RcptParameters, RelayReply
from smtpgate.relay.wire import Unsendable
from tests.relay.scripted import HANG, offering, scripted
from tests.relay.sending import CONTENT, ENVELOPE, OK, QUEUED, downstream_of, send

ON_THE_WIRE = b"Subject: x\r\n\r\n..hello\r\n...\r\nend\r\n"


@pytest.mark.parametrize("scheme", ["smtp", "lmtp", "lmtp+unix"])
async def test_a_message_arrives(scheme, tmp_path):
    async with scripted(scheme=scheme, path=tmp_path / "lmtp") as server:
        downstream = downstream_of(server)
        assert await send(downstream) == [QUEUED]
        await downstream.close()
        await server.gone[0].wait()
    assert server.commands == [
        b"EHLO mx.example.net\r\n" if scheme == "smtp" else b"LHLO mx.example.net\r\n",
        b"MAIL FROM:<a@example.org>\r\n",
        b"RCPT TO:<b@example.com>\r\n",
        b"DATA\r\n",
        b"QUIT\r\n",
    ]
    assert server.contents == [ON_THE_WIRE]


@pytest.mark.parametrize(
    ("envelope", "offered", "expected"),
    [
        (Envelope(""), (), b"MAIL FROM:<>"),
        (Envelope("a@b.c", size=42), ("SIZE 100",), b"MAIL FROM:<a@b.c> SIZE=42"),
        (Envelope("a@b.c", size=42), ("size",), b"MAIL FROM:<a@b.c> SIZE=42"),
        (Envelope("a@b.c", size=42), (), b"MAIL FROM:<a@b.c>"),
        (Envelope("a@b.c"), ("SIZE",), b"MAIL FROM:<a@b.c>"),
        (Envelope("a@b.c", eight_bit=True), ("8BITMIME",), b"MAIL FROM:<a@b.c> BODY=8BITMIME"),
        (Envelope("a@b.c", eight_bit=True), (), b"MAIL FROM:<a@b.c>"),
        (Envelope("a@b.c"), ("8BITMIME", "SMTPUTF8"), b"MAIL FROM:<a@b.c>"),
        (Envelope("é@b.c", smtputf8=True), ("SMTPUTF8",), "MAIL FROM:<é@b.c> SMTPUTF8".encode()),
        (Envelope("a@b.c", smtputf8=True), (), b"MAIL FROM:<a@b.c>"),
        (Envelope("a@b.c", ret="hdrs", envid="x+20y"), ("DSN",), b"MAIL FROM:<a@b.c> RET=hdrs ENVID=x+20y"),
        (Envelope("a@b.c", envid="xy"), ("DSN",), b"MAIL FROM:<a@b.c> ENVID=xy"),
        (Envelope("a@b.c", ret="FULL", envid="xy"), (), b"MAIL FROM:<a@b.c>"),
    ],
)
async def test_mail_says_what_the_downstream_offered_to_hear(envelope, offered, expected):
    async with scripted({"EHLO": offering(*offered)}) as server:
        assert await send(downstream_of(server), envelope) == [QUEUED]
    assert server.commands[1] == expected + b"\r\n"


@pytest.mark.parametrize(
    ("parameters", "offered", "expected"),
    [
        (
            {"notify": "SUCCESS,delay", "orcpt": "rfc822;x+2By@z"},
            ("DSN",),
            b" NOTIFY=SUCCESS,delay ORCPT=rfc822;x+2By@z",
        ),
        ({"notify": "NEVER"}, ("DSN",), b" NOTIFY=NEVER"),
        ({"notify": "NEVER", "orcpt": "rfc822;x"}, ("PIPELINING",), b""),
        ({"orcpt": "utf-8;é"}, ("DSN", "SMTPUTF8"), " ORCPT=utf-8;é".encode()),
        ({"notify": "NEVER", "orcpt": "utf-8;é"}, ("DSN",), b" NOTIFY=NEVER"),
    ],
)
async def test_rcpt_passes_on_what_dsn_asks_for(parameters, offered, expected):
    async with scripted({"EHLO": offering(*offered)}) as server:
        delivery = downstream_of(server).begin(ENVELOPE)
        assert await delivery.recipient("b@example.com", RcptParameters(**parameters)) == OK
        await delivery.abandon()
    assert server.commands[2] == b"RCPT TO:<b@example.com>" + expected + b"\r\n"


@pytest.mark.parametrize("value", ["a\r\nDATA", "a b", "a\n", "", "a=b", "a\0"])
async def test_a_parameter_that_could_be_a_command_is_never_sent(value):
    async with scripted({"EHLO": offering("DSN", "PIPELINING")}) as server:
        with pytest.raises(Unsendable):
            await downstream_of(server).begin(ENVELOPE).recipient("b@example.com", RcptParameters(notify=value))
        with pytest.raises(Unsendable):
            await downstream_of(server).begin(Envelope("a@b.c", envid=value)).recipient("b@example.com")
    assert set(server.verbs()) == {"EHLO"}


async def test_what_the_downstream_offers_is_known_from_asking_or_the_last_connection():
    offers = [offering("DSN", "size 100"), offering("8bitmime")]
    async with scripted({"EHLO": offers}) as server:
        downstream = downstream_of(server)
        assert downstream.extensions is None
        await downstream.learn_extensions()
        assert downstream.extensions == {"DSN", "SIZE"}
        await downstream.begin(ENVELOPE).recipient("b@example.com")
        assert downstream.extensions == {"8BITMIME"}
        assert server.connections == 2
        await downstream.close()


async def test_asking_a_server_that_is_away_is_no_error():
    async with scripted({"greeting": b"554 no\r\n"}) as server:
        downstream = downstream_of(server)
        await downstream.learn_extensions()
        assert downstream.extensions is None


@pytest.mark.parametrize("offered", [(), ("PIPELINING",)])
async def test_mail_and_the_first_rcpt_go_together_only_where_that_is_offered(offered):
    async with scripted({"EHLO": offering(*offered), "MAIL": HANG}) as server:
        task = asyncio.create_task(downstream_of(server).begin(ENVELOPE).recipient("b@example.com"))
        await server.reached.wait()
        # Whatever was written together with MAIL lies in the server's buffer by now: both are one segment.
        waiting = bytes(server.readers[0]._buffer)
        task.cancel()
    assert waiting == (b"RCPT TO:<b@example.com>\r\n" if offered else b"")


@pytest.mark.parametrize(
    ("sender", "recipient", "smtputf8", "refused"),
    [
        ("a@b.c", "é@x.y", True, True),
        ("é@b.c", "a@x.y", True, True),
        ("a@b.c", "é@x.y", False, True),
        ("a@b.c", "a@x.y", True, False),
    ],
)
async def test_an_address_that_needs_smtputf8(sender, recipient, smtputf8, refused):
    async with scripted({"EHLO": offering("PIPELINING")}) as server:
        delivery = downstream_of(server).begin(Envelope(sender, smtputf8=smtputf8))
        reply = await delivery.recipient(recipient)
        assert (reply.code, reply.enhanced) == ((550, "5.6.7") if refused else (250, "2.1.5"))
        # Another recipient of the same message may be taken.
        assert (await delivery.recipient("plain@x.y")).is_positive is sender.isascii()
        assert server.connections == 1


@pytest.mark.parametrize(
    ("envelope", "content", "expected"),
    [
        (Envelope("a@b.c", eight_bit=True), b"Subject: x\r\n\r\n\xe9\r\n", (554, "5.6.3")),
        (Envelope("a@b.c", eight_bit=True), b"Subject: x\r\n\r\nx\r\n", (250, "2.0.0")),
        (Envelope("a@b.c"), b"Subject: x\r\n\r\n\xe9\r\n", (250, "2.0.0")),
        (Envelope("a@b.c", smtputf8=True), b"Subject: \xc3\xa9\r\n\r\nx\r\n", (554, "5.6.9")),
        (Envelope("a@b.c", smtputf8=True), b"Subject: x\r\n\r\n\xc3\xa9\r\n", (250, "2.0.0")),
    ],
)
async def test_content_that_the_downstream_cannot_take(envelope, content, expected):
    async with scripted({"EHLO": offering()}) as server:
        downstream = downstream_of(server)
        for _ in range(2):
            [reply] = await send(downstream, envelope, Content.of(content))
            assert (reply.code, reply.enhanced) == expected
        assert server.connections == 1  # after RSET, the connection is as good as new
    assert server.verbs().count("DATA") == (2 if expected[0] == 250 else 0)


@pytest.mark.parametrize("offered", [(), ("PIPELINING",)])
@pytest.mark.parametrize("code", [450, 550])
async def test_a_refused_mail_is_the_answer_to_every_recipient(code, offered):
    script = {"EHLO": offering(*offered), "MAIL": b"%d x.y\r\n" % code, "RCPT": b"503 no MAIL\r\n"}
    async with scripted(script) as server:
        delivery = downstream_of(server).begin(ENVELOPE)
        for address in ("b@example.com", "c@example.com"):
            assert await delivery.recipient(address) == RelayReply(code, None, "x.y")
        await delivery.abandon()
        assert server.verbs().count("MAIL") == 1


async def test_each_recipient_gets_its_own_answer():
    script = {
        "RCPT": [b"550 5.1.1 Unknown\r\n", b"250 2.1.5 Recipient ok\r\n", b"450-4.2.0 Come\r\n450 4.2.0 later\r\n"]
    }
    async with scripted(script) as server:
        delivery = downstream_of(server).begin(ENVELOPE)
        assert await delivery.recipient("b@x") == RelayReply(550, "5.1.1", "Unknown")
        assert await delivery.recipient("c@x") == OK
        assert await delivery.recipient("d@x") == RelayReply(450, "4.2.0", "Come later")
        assert await delivery.deliver(CONTENT) == [QUEUED]


@pytest.mark.parametrize("verb", ["DATA", "dot"])
@pytest.mark.parametrize("code", [452, 554])
async def test_a_refused_message(verb, code):
    async with scripted(
        {verb: [b"%d 5.3.0 No\r\n" % code, {"DATA": b"354 Go\r\n"}.get(verb, b"250 Ok\r\n")]}
    ) as server:
        downstream = downstream_of(server)
        [reply] = await send(downstream)
        assert reply.code == code
        [reply] = await send(downstream)
        assert reply.is_positive
        assert server.connections == 1
    # RFC 5321 §4.1.1.4: the final dot ends the transaction whatever the answer; a refused DATA does not.
    assert server.verbs().count("RSET") == (verb == "DATA")


@pytest.mark.parametrize(
    ("verb", "offered"),
    [
        ("MAIL", ()),
        ("RCPT", ()),
        ("DATA", ()),
        ("MAIL", ("PIPELINING",)),
        ("RCPT", ("PIPELINING",)),
        ("BDAT", ("PIPELINING", "CHUNKING")),
    ],
)
async def test_a_command_at_the_wrong_time_is_no_refusal_of_the_clients(verb, offered):
    async with scripted({"EHLO": offering(*offered), verb: b"503 5.5.1 Bad sequence of commands\r\n"}) as server:
        downstream = downstream_of(server)
        with pytest.raises(DownstreamUnavailable, match="out of step"):
            await send(downstream)
        await server.gone[0].wait()
        assert downstream.connections() == (0, 0)


@pytest.mark.parametrize("refusal", [b"503 5.7.0 Access denied\r\n", b"550 5.7.1 No\r\n"])
async def test_rcpt_out_of_sequence_after_a_refused_mail_says_nothing(refusal):
    script = {"EHLO": offering("PIPELINING"), "MAIL": refusal, "RCPT": b"503 5.5.1 Need MAIL\r\n"}
    async with scripted(script) as server:
        delivery = downstream_of(server).begin(ENVELOPE)
        reply = await delivery.recipient("b@example.com")
        assert reply.code == int(refusal[:3])
        await delivery.abandon()


async def test_lmtp_answers_for_each_accepted_recipient_in_order():
    script = {
        "RCPT": [OK_LINE := b"250 2.1.5 Ok\r\n", b"550 5.1.1 Unknown\r\n", OK_LINE],
        "dot": b"250 2.0.0 Saved\r\n452 4.2.2 Full\r\n",
    }
    async with scripted(script, scheme="lmtp") as server:
        downstream = downstream_of(server)
        delivery = downstream.begin(ENVELOPE)
        assert [(await delivery.recipient(address)).code for address in "abc"] == [250, 550, 250]
        assert [str(reply) for reply in await delivery.deliver(CONTENT)] == ["250 2.0.0 Saved", "452 4.2.2 Full"]
        assert len(downstream._pool._idle) == 1


async def test_lmtp_lost_after_some_answers_keeps_them():
    async with scripted({"dot": b"250 2.0.0 Saved\r\n421 4.3.0 Out\r\n"}, scheme="lmtp") as server:
        downstream = downstream_of(server)
        replies = await send(downstream, recipients=("a@x", "b@x", "c@x"))
        assert [(reply.code, reply.enhanced) for reply in replies] == [(250, "2.0.0"), (451, "4.4.2"), (451, "4.4.2")]
        assert not downstream._pool._open


async def test_lmtp_refused_data_is_the_answer_for_every_recipient():
    async with scripted({"DATA": b"451 4.3.0 No\r\n"}, scheme="lmtp") as server:
        assert [reply.code for reply in await send(downstream_of(server), recipients=("a@x", "b@x"))] == [451, 451]


async def test_large_content_reaches_a_slow_reader_whole():
    content = b"".join(b".%d " % number + b"x" * 60 + b"\r\n" for number in range(100_000))
    async with scripted() as server:
        assert await send(downstream_of(server), content=Content.of(b"Subject: x\r\n\r\n" + content)) == [QUEUED]
    received = server.contents[0].replace(b"\r\n..", b"\r\n.")
    assert hashlib.sha256(received).digest() == hashlib.sha256(b"Subject: x\r\n\r\n" + content).digest()


async def test_content_is_taken_no_faster_than_the_downstream_reads():
    taken = 0

    class Watched(Content):
        def __iter__(self):
            nonlocal taken
            for piece in super().__iter__():
                taken += len(piece)
                yield piece

    line = b"x" * 70 + b"\r\n"
    async with scripted(read_content=False) as server:
        delivery = downstream_of(server).begin(ENVELOPE)
        await delivery.recipient("b@x")
        delivery._connection._timeout = 0.1  # nothing is read from now on: on any machine this time will pass
        with pytest.raises(DownstreamUnavailable):
            await delivery.deliver(Watched(b"", memoryview(line * 2_700_000)))
    # The kernel's buffers on both sides, the listener's own limit, one chunk: but not all of the 190 MB.
    assert taken < 80_000_000


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0\r\n", b"a\r\n\r", b"a\n.\nMAIL FROM:<x@y>\r\n"])
async def test_dangerous_content_is_not_delivered(content):
    async with scripted() as server:
        downstream = downstream_of(server)
        with pytest.raises(Unsendable):
            await send(downstream, content=Content.of(b"x\r\n" * 100_000 + content))
        await server.gone[0].wait()
        assert server.contents == []
        assert not downstream._pool._open


@pytest.mark.parametrize("address", ["a@b>\r\nDATA\r\n", "a b@c", "<a@b>"])
async def test_dangerous_addresses_are_not_sent(address):
    async with scripted() as server:
        downstream = downstream_of(server)
        with pytest.raises(Unsendable):
            await downstream.begin(ENVELOPE).recipient(address)
        with pytest.raises(Unsendable):
            await downstream.begin(Envelope(address)).recipient("b@x")
    assert b"MAIL" not in b"".join(server.commands)


def test_it_runs_on_uvloop_too():
    async def run() -> list[RelayReply]:
        async with scripted() as server:
            downstream = downstream_of(server)
            replies = await send(downstream) + await send(downstream)
            await downstream.close()
            await server.gone[0].wait()
        assert server.connections == 1
        return replies

    assert uvloop.run(run()) == [QUEUED, QUEUED]
