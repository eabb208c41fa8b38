"""The SMTP and LMTP client against a downstream that fails, hangs, is not there, or talks nonsense."""

import asyncio

import pytest

from smtpgate.relay.downstream import DownstreamUnavailable, Envelope
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url
from smtpgate.relay.wire import CHUNK
from tests.imagined_servers import USUAL, Fate, ImaginedLoop, ImaginedServer
from tests.relay.scripted import CLOSE, HANG, offering, scripted
from tests.relay.sending import CONTENT, ENVELOPE, QUEUED, downstream_of, send


async def test_nothing_is_read_for_a_connection_that_is_gone():
    class Counted:
        strict = True
        read = 0

        async def __aiter__(self):
            for _ in range(100):
                self.read += 1
                yield b"x" * CHUNK

    content = Counted()
    async with scripted() as server:
        connection = await downstream_of(server)._pool.take_fresh()
        connection.fail(DownstreamUnavailable("gone"))
        with pytest.raises(DownstreamUnavailable):
            await connection.send_content(content, 1)
    assert content.read <= 2


NONSENSE = [b"SSH-2.0\r\n", b"2 Ok\r\n", b"250-a\r\n550 b\r\n", b"x" * 5000, b"\0\r\n", b"354 What?\r\n"]


@pytest.mark.parametrize("offered", [(), ("PIPELINING",)])
@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("answer", [CLOSE, b"421 4.3.2 Shutting down\r\n", *NONSENSE])
async def test_a_downstream_that_fails(verb, answer, offered):
    if verb == "DATA" and answer == b"354 What?\r\n":
        answer = b"250 What?\r\n"
    async with scripted({"EHLO": offering(*offered), verb: answer}) as server:
        downstream = downstream_of(server)
        with pytest.raises(DownstreamUnavailable):
            await send(downstream)
        await server.gone[0].wait()  # it was closed
        assert server.connections == 1
        assert not downstream._pool._open
        assert not downstream._pool._idle


@pytest.mark.parametrize(
    ("verb", "seconds"),
    [("greeting", 10.0), ("EHLO", 10.0), ("MAIL", 30.0), ("RCPT", 30.0), ("DATA", 30.0), ("dot", 300.0)],
)
def test_a_downstream_that_hangs(verb, seconds):
    def fate(point: str) -> Fate:
        return Fate(sent=0, hangs=True) if point == verb else USUAL

    async def run() -> None:
        downstream = SmtpDownstream(parse_url("smtp://s:1"), hostname="mx")
        with pytest.raises(DownstreamUnavailable):
            await send(downstream)
        assert asyncio.get_running_loop().time() == seconds
        assert not downstream._pool._open

    server = ImaginedServer(lmtp=False, offers=(), fate=fate, saved=lambda _: None)
    with asyncio.Runner(loop_factory=lambda: ImaginedLoop({1: server})) as runner:
        runner.run(run())


@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot", "RSET"])
async def test_a_cancelled_caller_leaves_a_closed_connection(verb):
    async with scripted({verb: HANG}) as server:
        downstream = downstream_of(server)
        delivery = downstream.begin(ENVELOPE)

        async def work() -> None:
            await delivery.recipient("b@example.com")
            await (delivery.abandon() if verb == "RSET" else delivery.deliver(CONTENT))

        task = asyncio.create_task(work())
        await server.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await delivery.abandon()
        assert not downstream._pool._open
        assert not downstream._pool._idle


@pytest.mark.parametrize("greeting", [b"554 No service\r\n", b"421 Busy\r\n", b"250 Odd\r\n"])
async def test_a_greeting_that_is_none(greeting):
    async with scripted({"greeting": greeting}) as server:
        with pytest.raises(DownstreamUnavailable, match=greeting[:3].decode()):
            await send(downstream_of(server))


async def test_an_old_server_knows_only_helo():
    async with scripted({"EHLO": b"502 What?\r\n"}) as server:
        assert await send(downstream_of(server), Envelope("a@b.c", eight_bit=True, size=9)) == [QUEUED]
    assert server.commands[1:3] == [b"HELO mx.example.net\r\n", b"MAIL FROM:<a@b.c>\r\n"]


@pytest.mark.parametrize(
    ("scheme", "script"),
    [
        ("smtp", {"EHLO": b"450 Later\r\n"}),
        ("smtp", {"EHLO": b"502 What?\r\n", "HELO": b"502 What?\r\n"}),
        ("lmtp", {"LHLO": b"502 What?\r\n"}),
    ],
)
async def test_no_way_to_greet(scheme, script):
    async with scripted(script, scheme=scheme) as server:
        with pytest.raises(DownstreamUnavailable):
            await send(downstream_of(server))
        await server.gone[0].wait()
    assert "MAIL" not in server.verbs()


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:1", "lmtp+unix:/nonexistent/socket", "smtp://[::1]:1"])
async def test_nobody_listens(url):
    downstream = SmtpDownstream(parse_url(url), hostname="mx.example.net")
    with pytest.raises(DownstreamUnavailable, match="cannot connect"):
        await downstream.begin(ENVELOPE).recipient("b@x")
