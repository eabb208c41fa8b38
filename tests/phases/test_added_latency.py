"""What the look-ups of a message add to its time: the longest chain of answers, not the sum of all. In virtual time."""

import dataclasses
import ipaddress

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.dns.resolver import Answer, RecordType
from smtpgate.dnsbl.lists import DnsLists
from smtpgate.mailauth.message import Message
from smtpgate.phases.engine import Engine
from smtpgate.phases.facts import Session, Transaction
from smtpgate.phases.phase import Phase
from tests import virtual_time
from tests.checks.asking import CLIENT, mailbox
from tests.fake_store import FakeGreylist
from tests.fakes import FakeDns
from tests.phases.scripted import CONTEXT, new_record

ANSWER = 0.02
ZONE = {
    "PTR": {CLIENT: ["mail.example.net"]},
    "A": {"mail.example.net": [CLIENT], "example.net": ["192.0.2.1"]},
    "TXT": {"example.net": ["v=spf1 -all"]},
}
LISTS = [f"reject_rbl_client {name}.example" for name in ("one", "two", "three", "four")]
BASE = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:25"
[relay]
url = "maildir:nowhere"
[phases]
"""


class SlowDns(FakeDns):
    """Each answer takes its time. began: when each question was asked."""

    def __init__(self) -> None:
        super().__init__(**ZONE)
        self.began: dict[tuple[str, str], float] = {}

    async def query(self, name: str, kind: RecordType) -> Answer:
        self.began.setdefault((name, kind), virtual_time.now())
        await virtual_time.pause(ANSWER)
        return await super().query(name, kind)


class Waited:
    """One message, whose client says everything at once. waited: seconds before the answers to each command."""

    def __init__(self, rules: str, pause: float = 0.0) -> None:
        self.dns = SlowDns()
        context = dataclasses.replace(
            CONTEXT,
            dns=self.dns,
            lists=DnsLists(self.dns),
            greylist=FakeGreylist(),
            relay_domains=frozenset({"example.org"}),
        )
        self._engine = Engine(load(BASE + rules, REGISTRY).phases, context, delay_reject=True)
        self._pause = pause
        self.waited: dict[Phase, float] = {}
        virtual_time.run(self._play())

    async def _play(self) -> None:
        session = Session(ipaddress.ip_address(CLIENT), 4711, "test")
        await self._ask(Phase.CLIENT, Transaction(session))
        session.set_helo("mail.example.net", esmtp=True)
        await self._ask(Phase.HELO, Transaction(session))
        tx = Transaction(session, mailbox("me@example.net"))
        await self._ask(Phase.MAIL, tx)
        view = tx.about(mailbox("you@example.org"))
        await self._ask(Phase.RCPT, view)
        tx.recipients.append(view.recipient)
        await self._ask(Phase.DATA, tx.about(view.recipient))
        await self._ask(Phase.END_OF_DATA, tx.with_message(Message(b"Subject: x\r\n\r\nbody\r\n")))
        self._engine.settling.end_session(session)

    async def _ask(self, phase: Phase, tx: Transaction) -> None:
        began = virtual_time.now()
        await self._engine.prefetch(phase, tx)
        await self._engine.decide(phase, tx, new_record())
        self.waited[phase] = virtual_time.now() - began
        await virtual_time.pause(self._pause)

    @property
    def answers(self) -> float:
        """How many answers, one after the other, the client has waited for."""
        return round(sum(self.waited.values()) / ANSWER, 6)


ISSUE = ["reject_unknown_client_hostname", *LISTS]


@pytest.mark.parametrize(
    "rules",
    [
        f'client = {ISSUE}\nmail = ["reject_unknown_sender_domain"]\nrcpt = ["reject_unauth_destination"]',
        'rcpt = ["reject_unauth_destination", "reject_unknown_sender_domain", *]'.replace("*", str(ISSUE)[1:-1]),
        f'client = {LISTS}\nrcpt = ["reject_unauth_destination", "reject_unknown_client_hostname", "greylist"]',
        f'rcpt = ["greylist", "reject_unauth_destination"]\ndata = {LISTS}\nend_of_data = {ISSUE[:1]}',
        'rcpt = ["reject_unauth_destination"]\nend_of_data = ["reject_rhsbl_sender bl.example", '
        '"reject_rhsbl_helo bl.example", "reject_unknown_sender_domain"]',
        'rcpt = ["reject_unauth_destination", { rule = "score", lists = ["one.example", "two.example*2"] }, '
        '"check_score 3", "reject_rhsbl_client bl.example", "reject_unknown_client_hostname"]',
    ],
)
def test_the_longest_chain_not_the_sum(rules: str) -> None:
    longest = 3 if "rhsbl_client" in rules else 2  # PTR, A, then the list of domains
    assert Waited(rules).answers == longest


def test_what_a_table_names_is_asked_at_once() -> None:
    """Which rules it names is known when it is asked; from then on it is the longest chain, too."""
    table = 'rcpt = ["reject_unauth_destination", { rule = "check_sender_access", table = { "example.net" = "more" } }]'
    assert Waited(f"{table}\n[classes]\nmore = {ISSUE}").answers == 2


def test_what_the_client_takes_is_time_as_well() -> None:
    """Answers come while it makes up its mind; only those about what it said last are waited for."""
    rules = f'client = {ISSUE}\nmail = ["reject_unknown_sender_domain"]\nrcpt = ["reject_unauth_destination"]'
    assert Waited(rules, pause=0.1).answers == 0


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "end_of_data"])
@pytest.mark.parametrize(
    ("rule", "name", "asked_at"),
    [
        ("reject_rbl_client bl.example", "7.113.0.203.bl.example", 0),
        ("reject_rhsbl_helo bl.example", "mail.example.net.bl.example", 1),
        ("reject_rhsbl_sender bl.example", "example.net.bl.example", 2),
    ],
)
def test_what_can_be_foreseen_is_asked_when_its_input_is_known(phase: str, rule: str, name: str, asked_at: int) -> None:
    guard = '"reject_unauth_destination"'
    lists = f"rcpt = [{guard}, '{rule}']" if phase == "rcpt" else f"{phase} = ['{rule}']\nrcpt = [{guard}]"
    assert Waited(lists, pause=1.0).dns.began[name, "A"] == asked_at
