"""What a scripted downstream is told of the client: XFORWARD for its logs, XCLIENT for its rules."""

import logging

import pytest

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope, RelayReply
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url
from smtpgate.relay.xforward import Forwarding
from tests.relay.scripted import CLOSE, offering, scripted

CLIENT = {
    "NAME": "", "ADDR": "192.0.2.7", "PORT": "4711", "PROTO": "ESMTP", "HELO": "client.example.net",
    "IDENT": "7QK2M9XA", "SOURCE": "REMOTE",
}  # fmt: skip
ENVELOPE = Envelope("a@example.org", client=CLIENT)
ALL = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
TOLD = (
    b"XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=client.example.net IDENT=7QK2M9XA"
    b" SOURCE=REMOTE\r\n"
)
XCLIENT = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
OK = {"XFOR": b"250 2.0.0 Ok\r\n", "XCLI": b"220 scripted again\r\n"}


def downstream_of(server, **options) -> SmtpDownstream:
    forwarding = Forwarding("mx.example.net", **options)
    return SmtpDownstream(parse_url(server.url), hostname="mx.example.net", forwarding=forwarding)


async def send(downstream, envelope=ENVELOPE) -> list[RelayReply]:
    delivery = downstream.begin(envelope)
    assert (await delivery.recipient("b@example.com")).is_positive
    return await delivery.deliver(Content.of(b"Subject: x\r\n\r\nx\r\n"))


def told(server, verb=b"XFORWARD") -> list[bytes]:
    return [command for command in server.commands if command.startswith(verb)]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (ALL, [TOLD]),
        ("xforward name addr domain", [b"XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\n"]),
        ("XFORWARD", []),
        ("SIZE", []),
    ],
)
async def test_only_what_is_offered(offered, expected, pipelining):
    extensions = ["PIPELINING"] * pipelining
    async with scripted({"EHLO": offering(offered, *extensions), **OK}) as server:
        downstream = downstream_of(server)
        for _ in range(2):  # the downstream forgets it with the end of the transaction
            assert (await send(downstream))[0].code == 250
        await downstream.close()
        assert told(server) == expected * 2
        assert server.connections == 1
        if expected:
            assert server.verbs()[1:4] == ["XFOR", "MAIL", "RCPT"]


async def test_not_if_switched_off():
    async with scripted({"EHLO": offering(ALL)}) as server:
        await send(downstream_of(server, xforward=False))
        assert told(server) == []


async def test_what_the_client_forwarded_is_passed_on_unmixed():
    forwarded = {"ADDR": "IPV6:2001:db8::7", "SOURCE": "LOCAL"}
    async with scripted({"EHLO": offering("XFORWARD ADDR HELO SOURCE"), **OK}) as server:
        await send(downstream_of(server), Envelope("a@b.c", client=CLIENT, forwarded=forwarded))
        assert told(server) == [b"XFORWARD ADDR=IPV6:2001:db8::7 HELO=[UNAVAILABLE] SOURCE=LOCAL\r\n"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a+b=c", "a+2Bb+3Dc"),
        ("<a>@b;c é\r\n", "?a??b?c????"),
        ("x" * 300, "x" * 255),
        ("=" * 300, "?" * 255),
    ],
)
async def test_values_are_harmless(value, expected):
    async with scripted({"EHLO": offering("XFORWARD HELO"), **OK}) as server:
        await send(downstream_of(server), Envelope("a@b.c", client={"HELO": value}))
        assert told(server) == [f"XFORWARD HELO={expected}\r\n".encode()]


async def test_no_command_is_longer_than_512_octets():
    client = dict.fromkeys(CLIENT, "+" * 150) | {"HELO": "x" * 255, "NAME": "y" * 255}
    async with scripted({"EHLO": offering(ALL, "PIPELINING"), **OK}) as server:
        await send(downstream_of(server), Envelope("a@b.c", client=client))
        lines = told(server)
        assert max(map(len, lines)) <= 512
        assert [word.partition(b"=")[0].decode() for line in lines for word in line.split()[1:]] == list(CLIENT)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refusal_is_told_once_and_mail_goes_on(pipelining, caplog):
    script = {
        "EHLO": offering("XFORWARD ADDR", *["PIPELINING"] * pipelining),
        "XFOR": b"550 5.7.0 Error: insufficient authorization\r\n",
    }
    async with scripted(script) as server:
        downstream = downstream_of(server)
        with caplog.at_level(logging.WARNING):
            busy = downstream.begin(ENVELOPE)
            await busy.recipient("b@example.com")
            for _ in range(2):  # on another connection
                assert (await send(downstream))[0].code == 250
            await busy.abandon()
        assert server.connections == 2
        assert len(told(server)) == 2
        assert [record.getMessage() for record in caplog.records] == [
            "the downstream offers XFORWARD and refuses it: 550 5.7.0 Error: insufficient authorization"
        ]


@pytest.mark.parametrize("scheme", ["smtp", "lmtp"])
async def test_xclient_makes_the_connection_the_clients(scheme):
    # Like Postfix: it is offered to us, not to the client that we are then taken for.
    ehlo = [offering(XCLIENT, ALL, "PIPELINING"), offering(ALL, "PIPELINING")]
    async with scripted({"EHLO": ehlo, "LHLO": ehlo, **OK}, scheme=scheme) as server:
        downstream = downstream_of(server, xclient=True)
        for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
            await send(downstream, Envelope("a@b.c", client={**CLIENT, "ADDR": address}))
        assert server.connections == 1
        hello = b"EHLO " if scheme == "smtp" else b"LHLO "
        assert [line for line in server.commands if line[:4] in (b"EHLO", b"LHLO", b"XCLI", b"XFOR")] == [
            hello + b"mx.example.net\r\n",
            b"XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=4711\r\n",
            hello + b"client.example.net\r\n",
            b"XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.8 PORT=4711\r\n",
            hello + b"client.example.net\r\n",
        ]


@pytest.mark.parametrize("offered", ["SIZE", "XCLIENT NAME PROTO HELO"])
async def test_xclient_only_if_it_can_be_done(offered):
    async with scripted({"EHLO": offering(offered, "XFORWARD ADDR"), **OK}) as server:
        await send(downstream_of(server, xclient=True))
        assert told(server, b"XCLIENT") == []
        assert len(told(server)) == 1


@pytest.mark.parametrize("verb", ["XCLI", "EHLO"])
async def test_a_refused_client_is_refused_with_the_downstreams_words(verb):
    refusal = b"554 5.7.1 Client host rejected: Access denied\r\n"
    script = {"EHLO": [offering(XCLIENT), refusal], **OK}
    if verb == "XCLI":
        script["XCLI"] = refusal
    async with scripted(script) as server:
        delivery = downstream_of(server, xclient=True).begin(ENVELOPE)
        for recipient in ("b@example.com", "c@example.com"):
            assert await delivery.recipient(recipient) == RelayReply(
                554, "5.7.1", "Client host rejected: Access denied"
            )
        await delivery.abandon()
        await server.gone[0].wait()
        assert "MAIL" not in server.verbs()


@pytest.mark.parametrize(
    "answer",
    [
        b"550 5.7.0 Error: insufficient authorization\r\n",
        b"501 5.5.4 Bad\r\n",
        b"421 4.3.2 Busy\r\n",
        b"250 Ok\r\n",
        CLOSE,
    ],
)
async def test_our_own_trouble_with_xclient_is_no_refusal(answer):
    async with scripted({"EHLO": offering(XCLIENT), "XCLI": answer}) as server:
        delivery = downstream_of(server, xclient=True).begin(ENVELOPE)
        with pytest.raises(DownstreamUnavailable):
            await delivery.recipient("b@example.com")
        await delivery.abandon()
        await server.gone[0].wait()


@pytest.mark.parametrize("answer", [CLOSE, b"550 5.7.0 Error: insufficient authorization\r\n"])
async def test_a_pooled_connection_that_died_or_keeps_its_client_is_replaced(answer):
    async with scripted({"EHLO": offering(XCLIENT), "XCLI": [OK["XCLI"], answer, OK["XCLI"]]}) as server:
        downstream = downstream_of(server, xclient=True)
        await send(downstream)
        assert (await send(downstream, Envelope("a@b.c", client={**CLIENT, "ADDR": "192.0.2.8"})))[0].code == 250
        assert server.connections == 2
