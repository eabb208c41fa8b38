"""A name server that hangs costs a client one time limit, however many rules ask."""

import asyncio
import dataclasses
import ipaddress
from collections.abc import Callable, Sequence

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.dns.cache import CachingResolver
from smtpgate.dns.resolver import Answer, RecordType, Status
from smtpgate.dns.time_limit import LookupTime, Waiter
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.phases.asking import Limits
from smtpgate.phases.engine import Engine
from smtpgate.phases.facts import Session, Transaction
from smtpgate.phases.phase import Phase
from tests.fakes import FakeDns
from tests.phases.scripted import CONTEXT, mailbox, new_record


class HangingDns:
    """Never answers, but from memory. asked: the questions that hang, or hung. reached: set by each."""

    def __init__(self, **memory):
        self.memory = FakeDns(**memory).records
        self.asked = []
        self.reached = asyncio.Event()

    def ask(self, name: str, kind: RecordType, waiters: Sequence[Waiter], then: Callable[[Answer], None]) -> None:
        if records := self.memory.get((name, kind)):
            then(Answer(name, kind, Status.ANSWER, records))
        else:
            self.asked.append((name, kind))
            self.reached.set()


@pytest.fixture(autouse=True)
async def _in_time():
    """Whoever waits for what never comes fails here."""
    async with asyncio.timeout(30):
        yield


CONFIGURATION = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:25"
[relay]
url = "maildir:nowhere"
[phases]
rcpt = [
  "reject_unauth_destination",
  "reject_rbl_client one.example=127.0.0.2", "reject_rbl_client two.example=127.0.0.2",
  "reject_rbl_client three.example=127.0.0.2", "reject_rbl_client four.example=127.0.0.2",
  "reject_rbl_client five.example=127.0.0.2", "reject_rbl_client six.example=127.0.0.2",
  RULE
]
"""


class Client:
    """A session with an engine. It is asked without look-ups started early: one rule waits after the other."""

    def __init__(self, dns, rule='"permit"', *, phase_timeout: float = 300.0, session_timeout: float = 600.0) -> None:
        resolver = CachingResolver(dns)
        context = dataclasses.replace(
            CONTEXT, dns=resolver, lists=DnsLists(resolver), relay_domains=frozenset({"example.org"})
        )
        phases = load(CONFIGURATION.replace("RULE", rule), REGISTRY).phases
        self.engine = Engine(phases, context, limits=Limits(phase_timeout, session_timeout))
        self.session = Session(ipaddress.ip_address("192.0.2.1"), 4711, "test", helo="client.example.net")
        self.record = new_record()

    async def rcpt(self, *, early: bool = False):
        tx = Transaction(self.session, mailbox("a@sender.example")).about(mailbox("b@example.org"))
        if early:
            await self.engine.prefetch(Phase.RCPT, tx)
        return await self.engine.decide(Phase.RCPT, tx, self.record)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("rule", "reply"),
    [
        ('"permit"', ""),
        ('"reject_unknown_sender_domain"', "450 4.1.8"),
        ('"reject_unknown_client_hostname"', "450 4.7.25"),
        ('"reject_unknown_reverse_client_hostname"', "450 4.7.1"),
        ('"check_spf"', "451 4.4.3"),
    ],
)
async def test_many_rules_and_a_hanging_server(rule, reply, early):
    client = Client(dns := HangingDns(), rule)
    asking = asyncio.create_task(client.rcpt(early=early))
    await dns.reached.wait()
    client.session.lookup_time.expire()  # once: the rules behind the first one do not hang
    decision = await asking
    assert (decision.reply.line() if decision.reply else "").startswith(reply)
    assert bool(decision.reply) == bool(reply)
    assert len(dns.asked) >= 6
    assert all(entry.error is None for entry in client.record.rules)


async def test_the_limit_comes_by_itself():
    client = Client(HangingDns(), phase_timeout=0.01)
    assert (await client.rcpt()).reply is None


async def test_what_memory_knows_needs_no_time():
    listed = {"1.2.0.192.six.example": ["127.0.0.2"]}
    dns = HangingDns(A=listed, TXT={"1.2.0.192.six.example": ["listed"]})
    client = Client(dns)
    asking = asyncio.create_task(client.rcpt())
    await dns.reached.wait()
    client.session.lookup_time.expire()
    assert (await asking).reply.line().startswith("554 5.7.1")


async def test_each_answer_has_its_time_until_that_of_the_session_is_over():
    dns = HangingDns()
    time = LookupTime(300.0, 0.01)
    time.enter()
    resolver = CachingResolver(dns)
    time.start()
    assert (await resolver.query("d.example", "A")).detail == "the time for look-ups is over"
    time.stop()
    assert time.is_over  # the session's
    time.start()
    assert (await resolver.query("e.example", "A")).status is Status.FAILURE
    time.stop()

    other = LookupTime(0.01, 600.0)
    other.enter()
    for _ in range(2):
        other.start()
        assert (await resolver.query("d.example", "A")).status is Status.FAILURE
        assert other.is_over
        other.stop()
        assert not other.is_over


async def test_nobody_is_hurried_who_asks_for_no_session():
    dns = HangingDns(A={"d.example": ["192.0.2.1"]})
    assert (await CachingResolver(dns).query("d.example", "A")).status is Status.ANSWER


async def test_a_cancelled_question_is_cancelled():
    dns = HangingDns()
    time = LookupTime(300.0, 600.0)
    time.enter()
    asking = asyncio.create_task(CachingResolver(dns).query("d.example", "A"))
    await dns.reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()


async def test_rules_that_look_nothing_up_have_no_limit_and_need_none():
    client = Client(HangingDns(), '"permit"')
    tx = Transaction(client.session, mailbox("a@sender.example")).about(mailbox("b@elsewhere.example"))
    decision = await client.engine.decide(Phase.RCPT, tx, client.record)
    assert decision.reply.line().startswith("554 5.7.1")
    assert client.session.lookup_time is None
