"""TLS and login: nothing leaves that others might read, and nothing is believed that did not come in TLS."""

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest
import uvloop

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope
from smtpgate.relay.pool import PoolLimits
from smtpgate.relay.security import Login, Security, tls_context
from smtpgate.relay.smtp import SmtpDownstream
from smtpgate.relay.url import parse_url
from tests.certificates import issue
from tests.listening import listening
from tests.relay.scripted import CLOSE, EHLO, HANG, offering, scripted
from tests.relay.sending import CONTENT, ENVELOPE, IN_TIME, QUEUED, send

SCHEMES = {"starttls": "smtp", "implicit": "smtps"}
OFFER = {"EHLO": [offering("STARTTLS", "PIPELINING", "SIZE 1"), EHLO]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """One for 127.0.0.1 and one for another name."""
    return [issue(tmp_path_factory.mktemp(name), name) for name in ("127.0.0.1", "mail.example.org")]


@asynccontextmanager
async def tls_server(certificate, tls, script=None):
    async with scripted(script or {}, scheme=SCHEMES[tls], context=certificate.server_context()) as server:
        yield server


def downstream_of(server, tls, *, ca=None, verify=True, login=None, **limits) -> SmtpDownstream:
    context = tls_context(verify=verify, ca=str(ca.certificate) if ca else "") if tls != "none" else None
    limits = PoolLimits(**{**IN_TIME, **limits})
    security = Security(tls, context, login)
    return SmtpDownstream(parse_url(server.url), hostname="mx.example.net", limits=limits, security=security)


async def exchange(certificate, tls):
    async with tls_server(certificate, tls, OFFER if tls == "starttls" else {}) as server:
        downstream = downstream_of(server, tls, ca=certificate)
        large = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 300_000
        replies = await send(downstream) + await send(downstream, content=Content.of(large))
        idle, _ = downstream.connections()
        assert idle == 1
        await downstream.close()
        await server.gone[0].wait()
    assert server.connections == 1
    assert server.contents[1] == large
    return replies


async def cut_off(certificate):
    """A server that ends TCP right behind its last answer, without a word in TLS."""

    async with tls_server(certificate, "implicit") as server:
        answer = server._answer

        async def and_away(verb, writer):
            given = await answer(verb, writer)
            if verb == "dot":
                writer.transport.abort()
            return given

        server._answer = and_away
        downstream = downstream_of(server, "implicit", ca=certificate)
        replies = await send(downstream)
        await downstream.close()
    return replies


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_answer_counts_though_tls_is_cut_off_behind_it(run, certificates):
    assert run(cut_off(certificates[0])) == [QUEUED]


@pytest.mark.parametrize("tls", SCHEMES)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_messages_arrive(tls, run, certificates):
    assert run(exchange(certificates[0], tls)) == [QUEUED, QUEUED]


async def test_after_starttls_only_the_second_offer_counts(certificates):
    async with tls_server(certificates[0], "starttls", OFFER) as server:
        await send(downstream_of(server, "starttls", ca=certificates[0]), Envelope("a@b.c", eight_bit=True, size=5))
    assert server.commands[:4] == [
        b"EHLO mx.example.net\r\n",
        b"STARTTLS\r\n",
        b"EHLO mx.example.net\r\n",
        b"MAIL FROM:<a@b.c> SIZE=5 BODY=8BITMIME\r\n",
    ]


@pytest.mark.parametrize("tls", SCHEMES)
@pytest.mark.parametrize("trusts", ["the system", "another name"])
async def test_a_certificate_that_is_not_good_gets_no_mail(tls, trusts, certificates):
    good, other = certificates
    served, ca = (good, None) if trusts == "the system" else (other, other)
    script = {"EHLO": [OFFER["EHLO"][0], *OFFER["EHLO"]]} if tls == "starttls" else {}
    async with tls_server(served, tls, script) as server:
        downstream = downstream_of(server, tls, ca=ca)
        with pytest.raises(DownstreamUnavailable, match=r"no TLS with smtp.*: (self-signed|IP address mismatch)"):
            await send(downstream)
        assert downstream.connections() == (0, 0)
        # Whoever does not care says so.
        assert await send(downstream_of(server, tls, verify=False)) == [QUEUED]


@pytest.mark.parametrize(
    "script",
    [
        {"EHLO": offering("PIPELINING")},
        {"EHLO": b"502 What?\r\n"},
        {"EHLO": OFFER["EHLO"][0], "STAR": b"454 4.7.0 Not now\r\n"},
        {"EHLO": OFFER["EHLO"][0], "STAR": CLOSE},
        {"EHLO": OFFER["EHLO"][0], "STAR": HANG},
        {"EHLO": OFFER["EHLO"][0], "STAR": b"220 Go\r\n250 injected\r\n"},
        {"EHLO": OFFER["EHLO"][0], "STAR": b"220 Go\r\n250-inj"},
    ],
)
async def test_without_tls_nothing_is_sent(script, certificates):
    async with tls_server(certificates[0], "starttls", script) as server:
        downstream = downstream_of(server, "starttls", ca=certificates[0], connect_timeout=0.3)
        with pytest.raises(DownstreamUnavailable):
            await send(downstream)
        assert downstream.connections() == (0, 0)
    assert not {"MAIL", "AUTH"} & set(server.verbs())


async def test_a_handshake_that_never_ends(certificates):
    async def silent(reader, writer):
        await reader.read()  # until the other side has given up

    async with listening(silent) as port:
        security = Security("implicit", tls_context(ca=str(certificates[0].certificate)))
        limits = PoolLimits(connect_timeout=0.1)
        url = parse_url(f"smtps://127.0.0.1:{port}")
        downstream = SmtpDownstream(url, hostname="mx", limits=limits, security=security)
        with pytest.raises(DownstreamUnavailable, match=r"within 0\.1 s"):
            await downstream.begin(ENVELOPE).recipient("b@x")
        assert downstream.connections() == (0, 0)


async def test_a_server_that_speaks_no_tls(certificates):
    async with scripted() as server:
        server.url = server.url.replace("smtp:", "smtps:")
        with pytest.raises(DownstreamUnavailable, match="no TLS with"):
            await send(downstream_of(server, "implicit", ca=certificates[0]))


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("tls", SCHEMES)
async def test_a_connection_cut_in_tls(tls, verb, certificates):
    script = {**(OFFER if tls == "starttls" else {}), verb: CLOSE}
    async with tls_server(certificates[0], tls, script) as server:
        downstream = downstream_of(server, tls, ca=certificates[0])
        with pytest.raises(DownstreamUnavailable):
            await send(downstream)
        await server.gone[0].wait()
        assert downstream.connections() == (0, 0)


LOGIN = Login("gate", "pässword")
PLAIN = b"AUTH PLAIN " + b64encode(b"\0gate\0" + "pässword".encode())


@pytest.mark.parametrize(
    ("offered", "answers", "said"),
    [
        ("AUTH PLAIN LOGIN", [b"235 2.7.0 Welcome\r\n"], [PLAIN]),
        ("AUTH cram-md5 plain", [b"235 Welcome\r\n"], [PLAIN]),
        (
            "AUTH LOGIN",
            [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 Ok\r\n"],
            [b"AUTH LOGIN", b64encode(b"gate"), b64encode("pässword".encode())],
        ),
    ],
)
async def test_login(offered, answers, said):
    async with scripted({"EHLO": offering(offered), "AUTH": answers}) as server:
        downstream = downstream_of(server, "none", login=LOGIN)
        assert await send(downstream) == [QUEUED]
        assert await send(downstream) == [QUEUED]  # once for each connection
    assert [line.removesuffix(b"\r\n") for line in server.commands[1 : 1 + len(said)]] == said
    assert server.verbs()[1 + len(said)] == "MAIL"
    assert server.verbs().count("AUTH") == 1


async def test_a_long_password_does_not_make_a_long_command():
    login = Login("gate", "x" * 400)
    script = {"EHLO": offering("AUTH PLAIN"), "AUTH": [b"334 \r\n", b"235 Ok\r\n"]}
    async with scripted(script) as server:
        assert await send(downstream_of(server, "none", login=login)) == [QUEUED]
    assert server.commands[1:3] == [b"AUTH PLAIN\r\n", b64encode(b"\0gate\0" + b"x" * 400) + b"\r\n"]


@pytest.mark.parametrize(
    ("offered", "answers"),
    [
        ("AUTH", [b"235 Ok\r\n"]),
        ("SIZE 5", [b"235 Ok\r\n"]),
        ("AUTH CRAM-MD5", [b"235 Ok\r\n"]),
        ("AUTH PLAIN", [b"535 5.7.8 pa55word is wrong\r\n"]),
        ("AUTH PLAIN", [b"250 Ok\r\n"]),
        ("AUTH PLAIN", [b"454 4.7.0 Later\r\n"]),
        ("AUTH LOGIN", [b"334 VXNlcm5hbWU6\r\n", b"535 5.7.8 pa55word is wrong\r\n"]),
        ("AUTH LOGIN", [b"235 Ok\r\n"]),
        ("AUTH PLAIN", [CLOSE]),
    ],
)
async def test_without_login_nothing_is_sent(offered, answers):
    async with scripted({"EHLO": offering(offered), "AUTH": answers}) as server:
        with pytest.raises(DownstreamUnavailable) as caught:
            await send(downstream_of(server, "none", login=Login("gate", "pa55word")))
        await server.gone[0].wait()
    assert "MAIL" not in server.verbs()
    assert "pa55word" not in str(caught.value)


def test_a_password_does_not_show_itself():
    assert "pässword" not in repr(Security("none", None, LOGIN))


async def test_content_follows_in_tls(certificates):
    async with tls_server(certificates[0], "implicit", {"EHLO": offering("CHUNKING")}) as server:
        assert await send(downstream_of(server, "implicit", ca=certificates[0])) == [QUEUED]
    assert server.contents == [b"".join(map(bytes, CONTENT))]


@pytest.mark.parametrize(
    ("tls", "verify", "offered", "honoured"),
    [
        ("implicit", True, "REQUIRETLS", True),
        ("implicit", True, "SIZE", False),
        ("implicit", False, "REQUIRETLS", False),
        ("none", True, "REQUIRETLS", False),
    ],
)
async def test_requiretls_is_honoured_in_verified_tls_where_it_is_offered(tls, verify, offered, honoured, certificates):
    scheme, context = ("smtps", certificates[0].server_context()) if tls == "implicit" else ("smtp", None)
    async with scripted({"EHLO": [offering(offered), offering()]}, scheme=scheme, context=context) as server:
        downstream = downstream_of(server, tls, ca=certificates[0], verify=verify)
        assert not downstream.requiretls  # nobody knows yet
        await send(downstream)
        assert downstream.requiretls is honoured
        if honoured:
            busy = downstream.begin(Envelope("a@b.c", requiretls=True))
            assert (await busy.recipient("b@x")).is_positive
            assert server.commands[-2] == b"MAIL FROM:<a@b.c> REQUIRETLS\r\n"
            # Another connection need not offer it too.
            reply = await downstream.begin(Envelope("a@b.c", requiretls=True)).recipient("b@x")
            assert (reply.code, reply.enhanced) == (550, "5.7.30")
            assert not downstream.requiretls
