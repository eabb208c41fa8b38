import asyncio
import ipaddress
import logging

import dns.flags
import pytest

from smtpgate.dns import question, stub
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.resolver import Mx, Status
from smtpgate.dns.stub import StubResolver, system_nameservers
from smtpgate.values import Endpoint
from tests.dns.name_server import name_server, reply, silent_socket, wire
from tests.fakes import Clock
from tests.loops import let_pass, until

SOA = "example. 600 IN SOA ns.example. root.example. 1 2 3 4 120"
A = "d.example. 300 IN A 192.0.2.1"
ADDRESS = (ipaddress.ip_address("192.0.2.1"),)


resolvers = []


def resolver_of(hosts, timeout, port=53):
    """Its clock stands still: no try is late because the machine is slow."""
    resolvers.append(StubResolver([Endpoint(host, port) for host in hosts], timeout, Clock()))
    return resolvers[-1]


async def let_wait(resolver, seconds):
    """Let it have waited for so long."""
    resolver.clock.advance(seconds)
    await let_pass(seconds)


@pytest.fixture(autouse=True)
async def _closed():
    yield
    while resolvers:
        resolvers.pop().close()


async def ask(script, kind="A", name="d.example"):
    async with name_server(script) as server:
        return await resolver_of(["127.0.0.1"], 5, server.port).query(name, kind)


async def ask_in_vain(packets):
    """The answer when nothing comes but these packets."""
    async with name_server(lambda question, _: packets(question)) as server:
        resolver = resolver_of(["127.0.0.1"], 5, server.port)
        asking = asyncio.create_task(resolver.query("d.example", "A"))
        await until(lambda: server.asked)
        for seconds in (2, 3):  # for the first try, then for all of it
            await let_wait(resolver, seconds)
        return await asking


@pytest.mark.parametrize(
    ("kind", "lines", "records"),
    [
        ("A", [A, "d.example. 300 IN A 192.0.2.2"], (*ADDRESS, ipaddress.ip_address("192.0.2.2"))),
        ("AAAA", ["d.example. 300 IN AAAA 2001:db8::1"], (ipaddress.ip_address("2001:db8::1"),)),
        ("MX", ["D.Example. 300 IN MX 10 MX.Example."], (Mx(10, "mx.example"),)),
        ("MX", ["d.example. 300 IN MX 0 ."], (Mx(0, ""),)),
        ("TXT", ['d.example. 300 IN TXT "v=spf1 " "-all" "\\255"'], (b"v=spf1 -all\xff",)),
        ("PTR", ["d.example. 300 IN PTR Host.Example."], ("host.example",)),
        ("PTR", [r"d.example. 300 IN PTR a\032b\.c\010.example."], (r"a\032b\.c\010.example",)),
        ("NS", ["d.example. 300 IN NS ns.example."], ("ns.example",)),
        ("SOA", ["d.example. 300 IN SOA ns.example. root.example. 1 2 3 4 120"], ("ns.example",)),
        ("CNAME", ["d.example. 300 IN CNAME e.example."], ("e.example",)),
        ("A", ["d.example. 900 IN CNAME e.example.", "e.example. 300 IN A 192.0.2.1"], ADDRESS),
        ("A", ["d.example. 300 IN CNAME e.example.", "e.example. 900 IN A 192.0.2.1"], ADDRESS),
        ("A", [A, "other.example. 1 IN A 192.0.2.66"], ADDRESS),
        ("A", [A, 'd.example. 1 IN TXT "x"'], ADDRESS),
        ("A", [A, "d.example. 1 CH A a. 1"], ADDRESS),
    ],
)
async def test_answers(kind, lines, records):
    answer = await ask(lambda question, _: [wire(question, *lines)], kind)
    assert (answer.status, answer.records, answer.ttl) == (Status.ANSWER, records, 300)
    assert (answer.name, answer.kind) == ("d.example", kind)


@pytest.mark.parametrize(
    ("options", "status", "ttl"),
    [
        ({"rcode": "NXDOMAIN", "authority": [SOA]}, Status.NO_NAME, 120),
        ({"rcode": "NXDOMAIN", "authority": [SOA.replace("600", "60")]}, Status.NO_NAME, 60),
        ({"rcode": "NXDOMAIN"}, Status.NO_NAME, 5),
        ({"authority": [SOA]}, Status.NO_DATA, 120),
        ({}, Status.NO_DATA, 5),
        ({"authority": [SOA, "example. 1 IN NS ns.example."]}, Status.NO_DATA, 120),
        ({"authority": ["example. 600 IN NS ns.example."]}, Status.FAILURE, 0),
    ],
)
async def test_negative_answers(options, status, ttl):
    answer = await ask(lambda question, _: [wire(question, **options)])
    assert (answer.status, answer.records, answer.ttl) == (status, (), ttl)


async def test_an_alias_of_nothing_has_no_name():
    alias = "d.example. 30 IN CNAME e.example."
    answer = await ask(lambda question, _: [wire(question, alias, rcode="NXDOMAIN", authority=[SOA])])
    assert (answer.status, answer.ttl) == (Status.NO_NAME, 30)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
async def test_error_codes_are_temporary_failures(rcode):
    answer = await ask(lambda question, _: [wire(question, rcode=rcode)])
    assert (answer.status, answer.detail) == (Status.FAILURE, f"{rcode} from 127.0.0.1")


@pytest.mark.parametrize(
    ("lines", "rcode", "detail"),
    [
        ([A], "NXDOMAIN", "NXDOMAIN with records from 127.0.0.1"),
        (["d.example. 1 IN CNAME e.example.", "e.example. 1 IN CNAME d.example."], "NOERROR", "a circle of aliases"),
        ([A], "YXDOMAIN", "RCODE 6 from 127.0.0.1"),
    ],
)
async def test_contradictions_are_temporary_failures(lines, rcode, detail):
    answer = await ask(lambda question, _: [wire(question, *lines, rcode=rcode)])
    assert answer.status is Status.FAILURE
    assert detail in answer.detail


def wrong_identifier(question):
    packet = wire(question, "d.example. 300 IN A 192.0.2.66")
    return bytes((packet[0] ^ 1,)) + packet[1:]


def another_question(question):
    packet = wire(question, "d.example. 300 IN A 192.0.2.66")
    return packet[:13] + b"e" + packet[14:]


def not_a_response(question):
    response = reply(question, "d.example. 300 IN A 192.0.2.66")
    response.flags &= ~dns.flags.QR
    return response.to_wire()


USELESS = {
    "empty": lambda question: b"",
    "random": lambda question: bytes(range(200)),
    "identifier and garbage": lambda question: question.to_wire()[:2] + b"\xff" * 60,
    "header only": lambda question: wire(question, A)[:12],
    "cut in the question": lambda question: wire(question, A)[:20],
    "cut in a record": lambda question: wire(question, A)[:-14],
    "wrong identifier": wrong_identifier,
    "another question": another_question,
    "not a response": not_a_response,
    "no question": lambda question: wire(question, A)[:4] + b"\0\0" + wire(question, A)[6:],
    "short address": lambda question: wire(question, A).replace(b"\x00\x04\xc0\x00\x02\x01", b"\x00\x03\xc0\x00\x02"),
    "name that points to itself": lambda question: wire(question, A).replace(b"\xc0\x0c", b"\xc0\x1b"),
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
async def test_a_useless_packet_does_not_end_the_question(useless):
    answer = await ask(lambda question, _: [useless(question), wire(question, A)])
    assert (answer.status, answer.records) == (Status.ANSWER, ADDRESS)


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
async def test_useless_packets_alone_are_a_temporary_failure(useless):
    answer = await ask_in_vain(lambda question: [useless(question)])
    assert (answer.status, answer.detail) == (Status.FAILURE, "timed out after 5 s (no answer from 127.0.0.1)")


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
async def test_useless_answers_over_tcp_are_a_temporary_failure(useless):
    def script(question, tcp):
        return [useless(question)] if tcp else [wire(question, flags=dns.flags.TC)]

    answer = await ask(script)
    assert answer.status is Status.FAILURE
    assert answer.detail.endswith(" from 127.0.0.1")


async def test_a_flood_of_useless_packets_is_left_behind_over_tcp():
    async with name_server(lambda question, tcp: [wire(question, A)] if tcp else [b"x"] * 120) as server:
        resolver = resolver_of(["127.0.0.1"], 60, server.port)
        answers = await asyncio.gather(*(resolver.query("d.example", kind) for kind in ("A", "A")))
    assert [answer.records for answer in answers] == [ADDRESS] * 2
    assert [way for _, way in server.asked].count("tcp") == 2


async def test_a_truncated_answer_is_asked_for_over_tcp():
    lines = [f"d.example. 300 IN TXT {'x' * 200}{number}" for number in range(60)]

    def script(question, tcp):
        # The packet is cut in the middle of a record, as some servers do.
        return [wire(question, *lines)] if tcp else [wire(question, *lines[:3], flags=dns.flags.TC)[:-5]]

    async with name_server(script) as server:
        answer = await resolver_of(["127.0.0.1"], 5, server.port).query("d.example", "TXT")
    assert len(answer.records) == 60
    assert server.asked == [("d.example.", "udp"), ("d.example.", "tcp")]


@pytest.mark.parametrize(
    ("over_tcp", "detail"),
    [
        (lambda question: [wire(question, flags=dns.flags.TC)], "truncated over TCP from 127.0.0.1"),
        (lambda question: [], "closed before the end of the answer from 127.0.0.1"),
    ],
)
async def test_tcp_that_does_not_help(over_tcp, detail):
    answer = await ask(lambda question, tcp: over_tcp(question) if tcp else [wire(question, flags=dns.flags.TC)])
    assert (answer.status, answer.detail) == (Status.FAILURE, detail)


async def test_of_a_huge_answer_the_first_hundred_records_are_read():
    lines = [f"d.example. 300 IN A 10.0.{number // 250}.{number % 250}" for number in range(3000)]
    answer = await ask(lambda q, tcp: [wire(q, *lines)] if tcp else [wire(q, flags=dns.flags.TC)])
    assert len(answer.records) == 100


async def test_nobody_answers():
    answer = await ask_in_vain(lambda question: [])
    assert (answer.status, answer.detail) == (Status.FAILURE, "timed out after 5 s (no answer from 127.0.0.1)")


async def test_a_lost_packet_is_sent_again():
    questions = []

    def script(question, _):
        questions.append(question.id)
        return [wire(question, A)] if len(questions) > 1 else []

    async with name_server(script) as server:
        resolver = resolver_of(["127.0.0.1"], 5, server.port)
        asking = asyncio.create_task(resolver.query("d.example", "A"))
        await until(lambda: questions)
        await let_wait(resolver, 2)
        assert (await asking).status is Status.ANSWER
    assert len(questions) == 2


async def test_the_next_server_is_asked_when_one_is_down():
    async with name_server(lambda question, _: [wire(question, A)]) as server:
        resolver = resolver_of(["127.0.0.3", "127.0.0.1"], 5, server.port)
        assert (await resolver.query("d.example", "A")).status is Status.ANSWER


async def test_the_next_server_is_asked_when_one_fails():
    async with name_server(lambda question, _: [wire(question, A)]) as good:
        failing = name_server(lambda question, _: [wire(question, rcode="SERVFAIL")], "127.0.0.2", good.port)
        async with failing:
            resolver = resolver_of(["127.0.0.2", "127.0.0.1"], 5, good.port)
            assert (await resolver.query("d.example", "A")).status is Status.ANSWER


async def test_a_silent_server_is_asked_last_from_then_on():
    async with name_server(lambda question, _: [wire(question, A)]) as server:
        with silent_socket(server.port) as silent:
            silent.setblocking(False)
            resolver = resolver_of(["127.0.0.2", "127.0.0.1"], 5, server.port)
            asking = asyncio.create_task(resolver.query("d.example", "A"))
            assert await asyncio.get_running_loop().sock_recv(silent, 512)
            await let_wait(resolver, 2)
            for answer in (await asking, await resolver.query("d.example", "A")):
                assert answer.status is Status.ANSWER
            with pytest.raises(BlockingIOError):
                silent.recv(512)


async def test_all_servers_down_is_known_at_once():
    async with name_server(lambda question, _: []) as server:
        resolver = resolver_of(["127.0.0.3", "127.0.0.4"], 60, server.port)
        answer = await resolver.query("d.example", "A")
    assert answer.detail == "127.0.0.3: Connection refused; 127.0.0.4: Connection refused"


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..b", ".a", "a..", "x" * 64, "bücher.example", "\udcff.example", ".".join(["x" * 49] * 5) + ".abcde"],
)
async def test_impossible_names_are_not_asked(name):
    async with name_server(lambda question, _: [wire(question, A)]) as server:
        resolver = resolver_of(["127.0.0.1"], 5, server.port)
        cache = CachingResolver(resolver)
        assert {(await each.query(name, "A")).status for each in (resolver, cache)} == {Status.NO_NAME}
        assert (server.asked, len(cache), resolver.facts()["servers"][0]["asked"]) == ([], 0, 0)


async def test_names_are_absolute_and_literal():
    async with name_server(lambda question, _: [wire(question)]) as server:
        resolver = resolver_of(["127.0.0.1"], 5, server.port)
        for name in ("LocalHost", "d.example.", r"a\046b.example"):
            await resolver.query(name, "A")
    assert [name for name, _ in server.asked] == ["localhost.", "d.example.", r"a\\046b.example."]


async def test_a_question_carries_edns_and_asks_for_recursion():
    questions = []
    await ask(lambda question, _: questions.append(question) or [wire(question)])
    assert (questions[0].edns, questions[0].payload, questions[0].flags) == (0, 1232, dns.flags.RD)


async def test_many_questions_at_once():
    def script(question, _):
        number = question.question[0].name.labels[0].decode()
        return [wire(question, f"{number}.example. 300 IN A 10.0.0.{number}")]

    async with name_server(script) as server:
        resolver = resolver_of(["127.0.0.1"], 30, server.port)
        answers = await asyncio.gather(*(resolver.query(f"{number}.example", "A") for number in range(250)))
    assert [str(*answer.records) for answer in answers] == [f"10.0.0.{number}" for number in range(250)]


async def test_questions_in_flight_are_bounded_and_the_others_wait(monkeypatch):
    monkeypatch.setattr(stub, "MAX_IN_FLIGHT", 20)
    held, full = [], asyncio.Event()

    def script(question, _):
        held.append(wire(question, rcode="NXDOMAIN"))
        if len(held) == 20:
            full.set()
        return [] if len(held) <= 20 else [wire(question, rcode="NXDOMAIN")]

    async with name_server(script) as server:
        resolver = resolver_of(["127.0.0.1"], 60, server.port)
        asking = [asyncio.create_task(resolver.query(f"{number}.example", "A")) for number in range(60)]
        await full.wait()
        assert resolver.facts()["in_flight"] == 60
        assert len(held) == 20
        resolver.tries._clock = lambda: float("inf")
        resolver.tries.expire()
        answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {Status.NO_NAME}


async def test_who_waits_for_a_turn_waits_no_longer_than_others(monkeypatch):
    monkeypatch.setattr(stub, "MAX_IN_FLIGHT", 2)
    async with name_server(lambda *_: []) as server:
        resolver = resolver_of(["127.0.0.1"], 5, server.port)
        asking = [asyncio.create_task(resolver.query(f"{number}.example", "A")) for number in range(5)]
        await until(lambda: len(server.asked) == 2)
        await let_wait(resolver, 5)
        assert {(await each).status for each in asking} == {Status.FAILURE}
        assert resolver.facts()["in_flight"] == 0
        await resolver.query("a..b", "A")  # whose turn it is at once
    assert {name for name, _ in server.asked} == {"0.example.", "1.example."}


async def test_what_nobody_foresaw_is_a_temporary_failure(monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(question, "read_answer", broken)
    with caplog.at_level(logging.ERROR):
        answer = await ask(lambda question, _: [wire(question, A)])
    assert (answer.status, answer.detail) == (Status.FAILURE, "internal error")
    assert "unforeseen" in caplog.text


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 192.0.2.53\nnameserver 2001:db8::53\n", ["192.0.2.53", "2001:db8::53"]),
        ("# nameserver 192.0.2.1\nsearch example.org\noptions edns0\nnameserver 192.0.2.53 # ours\n", ["192.0.2.53"]),
        ("nameserver\nnameserver ns.example.org\nnameserver 192.0.2.53", ["192.0.2.53"]),
        ("\xff\x00garbage", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        (None, ["127.0.0.1"]),
    ],
)
def test_system_nameservers(tmp_path, text, servers):
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert system_nameservers(path) == [Endpoint(server, 53) for server in servers]
