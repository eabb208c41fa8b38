"""How name servers are asked: which first, how often, in which case, over which port; and what forgers come to."""

import asyncio
import itertools
import socket

import dns.message
import pytest

from smtpgate.dns import udp
from smtpgate.dns.resolver import Status
from smtpgate.dns.stub import StubResolver
from smtpgate.dns.udp import UdpPool
from smtpgate.values import Endpoint
from tests.dns.name_server import name_server, reply, silent_socket, wire
from tests.fakes import Clock

NAME = "abcdefghijklmnop.example"  # so long that no mix of it is lower case
RECORD = f"{NAME}. 300 IN A 192.0.2.1"
resolvers = []


def resolver_of(*endpoints, timeout=60, **options):
    options = {"clock": Clock(), **options}  # it stands still: no try is late because the machine is slow
    resolvers.append(StubResolver([Endpoint(*endpoint) for endpoint in endpoints], timeout, **options))
    return resolvers[-1]


def expire(resolver):
    """Let every try have had its time."""
    clock, resolver.tries._clock = resolver.tries._clock, lambda: float("inf")
    resolver.tries.expire()
    resolver.tries._clock = clock


@pytest.fixture(autouse=True)
async def _closed_in_time():
    async with asyncio.timeout(30):
        yield
        while resolvers:
            resolvers.pop().close()


class Script:
    """Answers as it is told, and notes the questions. heard: set by each."""

    def __init__(self, *answers):
        self.answers = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))
        self.questions = []
        self.heard = asyncio.Event()

    def __call__(self, question, tcp):
        self.questions.append(question)
        self.heard.set()
        return next(self.answers)(question)

    @property
    def names(self):
        return [question.question[0].name.to_text(omit_final_dot=True) for question in self.questions]


def good(question):
    return [wire(question, RECORD)]


def silent(question):
    return []


def lower_case(question):
    packet = wire(question, RECORD)
    return [packet[:2] + packet[2:].lower()]  # behind the identifier, no other octet is a letter's


def form_error_with_edns(question):
    return [wire(question, rcode="FORMERR")] if question.edns >= 0 else good(question)


# --- case and EDNS ------------------------------------------------------------------------------------------------


async def test_the_case_of_each_question_is_another():
    script = Script(good)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        for _ in range(10):
            assert (await resolver.query(NAME, "A")).status is Status.ANSWER
    assert len(set(script.names)) == 10
    assert {name.lower() for name in script.names} == {NAME}


async def test_a_server_that_changes_the_case_is_soon_asked_in_lower_case_only():
    script = Script(lower_case)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        answers = [await resolver.query(NAME, "A") for _ in range(5)]
    assert {answer.status for answer in answers} == {Status.ANSWER}
    assert [name == NAME for name in script.names] == [False, True] * 3 + [True, True]


async def test_one_answer_in_another_case_is_asked_for_again_and_convinces_nobody():
    script = Script(lower_case, good)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        for _ in range(4):
            assert (await resolver.query(NAME, "A")).status is Status.ANSWER
    assert [name == NAME for name in script.names] == [False, True, False, False, False]


async def test_a_server_without_edns():
    script = Script(form_error_with_edns)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        answers = [await resolver.query(NAME, "A") for _ in range(5)]
    assert {answer.status for answer in answers} == {Status.ANSWER}
    assert [question.edns for question in script.questions] == [0, -1] * 3 + [-1, -1]


# --- which server -------------------------------------------------------------------------------------------------


async def test_a_late_answer_to_the_first_try_counts():
    script = Script(silent)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        asking = asyncio.create_task(resolver.query(NAME, "A"))
        await script.heard.wait()
        script.heard.clear()
        expire(resolver)
        await script.heard.wait()
        first, second = script.questions
        assert first.id != second.id or server.clients[0] != server.clients[1]
        server.transport.sendto(wire(first, RECORD), server.clients[0])
        assert (await asking).status is Status.ANSWER
    facts = resolver.facts()["servers"][0]
    assert (facts["asked"], facts["answered"], facts["timeouts"], facts["repeated"]) == (2, 1, 1, 1)


async def test_a_silent_server_costs_one_question_its_time_and_comes_back_when_it_answers():
    clock = Clock()
    first, second = Script(silent, good), Script(good)
    async with name_server(first) as one, name_server(second, "127.0.0.2", one.port):
        resolver = resolver_of(("127.0.0.1", one.port), ("127.0.0.2", one.port), clock=clock)
        asking = asyncio.create_task(resolver.query(NAME, "A"))
        await first.heard.wait()
        expire(resolver)
        assert (await asking).status is Status.ANSWER
        first.heard.clear()
        for _ in range(5):
            await resolver.query(NAME, "A")
        assert (len(first.questions), len(second.questions)) == (1, 6)
        assert [server["aside"] for server in resolver.facts()["servers"]] == [True, False]
        clock.advance(31)  # now a question goes to both, and it is the second that is waited for
        await resolver.query(NAME, "A")
        await first.heard.wait()
        await resolver.query("after.example", "A")  # not answered before the first server's answer was read
        assert [server["aside"] for server in resolver.facts()["servers"]] == [False, False]
        second.questions.clear()
        await resolver.query(NAME, "A")
        assert second.questions == []


async def test_a_name_that_takes_long_does_not_put_a_server_aside():
    script = Script(silent, good)
    other = Script(good)
    async with name_server(script) as one, name_server(other, "127.0.0.2", one.port):
        resolver = resolver_of(("127.0.0.1", one.port), ("127.0.0.2", one.port))
        slow = asyncio.create_task(resolver.query(NAME, "A"))
        await script.heard.wait()
        resolver.clock.advance(1)
        await resolver.query(NAME, "A")  # answered meanwhile
        expire(resolver)
        assert (await slow).status is Status.ANSWER
        assert len(other.questions) == 1
        assert [server["aside"] for server in resolver.facts()["servers"]] == [False, False]


async def test_the_order_of_those_that_answer_is_the_configured_one():
    scripts = [Script(good) for _ in range(3)]
    async with (
        name_server(scripts[0]) as one,
        name_server(scripts[1], "127.0.0.2", one.port),
        name_server(scripts[2], "127.0.0.3", one.port),
    ):
        # Nobody listens on 127.0.0.4: that is known at once.
        resolver = resolver_of(*((f"127.0.0.{number}", one.port) for number in (4, 2, 1, 3)))
        for _ in range(3):
            await resolver.query(NAME, "A")
        assert [len(script.questions) for script in scripts] == [0, 3, 0]


async def test_what_nobody_wants_any_more_is_not_sent_again():
    script = Script(silent)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        asking = asyncio.create_task(resolver.query(NAME, "A"))
        await script.heard.wait()
        asking.cancel()
        await asyncio.wait([asking])
        expire(resolver)
        assert resolver.facts()["in_flight"] == 0
        await resolver.query("a..b", "A")
        assert len(script.questions) == 1


async def test_closing_ends_what_is_asked():
    script = Script(silent)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        asking = asyncio.create_task(resolver.query(NAME, "A"))
        await script.heard.wait()
        resolver.close()
        assert (await asking).detail == "the resolver was closed"


async def test_ipv6():
    async with name_server(Script(good), "::1") as server:
        assert (await resolver_of(("::1", server.port)).query(NAME, "A")).status is Status.ANSWER


# --- ports, identifiers, forgers ----------------------------------------------------------------------------------


async def test_packets_from_elsewhere_are_not_read():
    script = Script(silent)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        asking = asyncio.create_task(resolver.query(NAME, "A"))
        await script.heard.wait()
        question, client = script.questions[0], server.clients[0]
        with silent_socket(0) as elsewhere:
            elsewhere.sendto(wire(question, f"{NAME}. 300 IN A 192.0.2.66"), client)
        server.transport.sendto(wire(question, RECORD), client)
        assert [str(address) for address in (await asking).records] == ["192.0.2.1"]
    assert resolver.facts()["servers"][0]["useless"] == 0


async def test_forged_packets_are_counted_and_do_not_end_the_question():
    def forged(question):
        packets = []
        for bit in range(16):
            response = reply(question, f"{NAME}. 300 IN A 192.0.2.66")
            response.id ^= 1 << bit
            packets.append(response.to_wire())
        return [*packets, wire(question, RECORD)]

    async with name_server(Script(forged)) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        assert [str(address) for address in (await resolver.query(NAME, "A")).records] == ["192.0.2.1"]
    assert resolver.facts()["servers"][0]["useless"] == 16


async def test_questions_go_over_several_ports_and_not_over_one_for_ever(monkeypatch):
    monkeypatch.setattr(udp, "_MAX_QUESTIONS", 4)
    script = Script(good)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        pool = resolver._servers[0].pool
        for _ in range(200):
            await resolver.query(NAME, "A")
        assert len(pool) <= udp.SOCKETS
    assert len(set(server.clients)) >= 50  # 200 questions, at most 4 over each


async def test_ports_change_with_time():
    clock = Clock()
    async with name_server(Script(good)) as server:
        resolver = resolver_of(("127.0.0.1", server.port), clock=clock)
        for _ in range(100):
            await resolver.query(NAME, "A")
        before = set(server.clients)
        assert len(before) <= udp.SOCKETS
        clock.advance(61)
        server.clients.clear()
        for _ in range(100):
            await resolver.query(NAME, "A")
        again = before & set(server.clients)
        assert len(again) < len(before) / 2  # the kernel may by chance give a port again that has just become free


class Waiter:
    def __init__(self):
        self.packets = []
        self.came = asyncio.Event()

    def received(self, packet):
        self.packets.append(packet)
        self.came.set()
        return True


async def test_two_questions_on_one_socket_never_have_one_identifier(monkeypatch):
    drawn = iter([b"\1", b"\1", b"\2", b"\1", b"\2", b"\3"])  # whatever is drawn once more is another one
    script = Script(good)
    async with name_server(script) as server:
        resolver = resolver_of(("127.0.0.1", server.port))
        monkeypatch.setattr(resolver.entropy, "take", lambda count: next(drawn) * count)
        await asyncio.gather(*(resolver.query(NAME, kind) for kind in ("A", "MX", "TXT")))
    assert [question.id for question in script.questions] == [0x0101, 0x0202, 0x0303]


async def test_a_socket_that_is_replaced_still_hears_its_last_answers(monkeypatch):
    monkeypatch.setattr(udp, "SOCKETS", 1)
    with silent_socket(0) as server:
        server.setblocking(False)
        pool = UdpPool(Endpoint(*server.getsockname()))
        old, waiter = pool.socket(0, 0.0), Waiter()
        old.send(b"\0\7", b"\0\7", waiter)
        new = pool.socket(0, 1000.0)
        assert new is not old
        assert len(pool) == 2
        packet, client = await asyncio.get_running_loop().sock_recvfrom(server, 100)
        server.sendto(packet, client)
        await waiter.came.wait()
        assert waiter.packets == [b"\0\7"]
        old.forget(b"\0\7")
        assert len(pool) == 1
        pool.close()


async def test_descriptors_are_bounded_when_nothing_is_answered(monkeypatch):
    monkeypatch.setattr(udp, "SOCKETS", 1)
    with silent_socket(0) as server:
        pool = UdpPool(Endpoint(*server.getsockname()))
        for now in range(0, 100_000, 1000):
            pool.socket(0, float(now)).send(b"\0\7", b"\0\7", Waiter())
        assert len(pool) == 1 + udp._MAX_RETIRED
        pool.close()
        assert len(pool) == 0


async def test_no_descriptor_is_left(monkeypatch):
    def none_left(*_):
        raise OSError(24, "Too many open files")

    with silent_socket(0) as server:
        monkeypatch.setattr(socket, "socket", none_left)
        answer = await resolver_of(server.getsockname()).query(NAME, "A")
        monkeypatch.undo()
    assert (answer.status, answer.detail) == (Status.FAILURE, "127.0.0.2: Too many open files")


async def test_what_is_sent_is_a_question():
    script = Script(good)
    async with name_server(script) as server:
        await resolver_of(("127.0.0.1", server.port)).query(NAME, "A")
    [question] = script.questions
    assert (question.opcode(), question.question[0].rdtype, question.edns) == (dns.opcode.QUERY, dns.rdatatype.A, 0)
