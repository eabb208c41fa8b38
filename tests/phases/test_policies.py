"""Whose rules are asked: the nearest policy's; and what recipients of one message must have in common."""

import asyncio

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.toml import dump
from smtpgate.phases.facts import Transaction
from smtpgate.phases.phase import Phase
from smtpgate.phases.policy import Policies, Policy
from tests.checks.asking import facts, mailbox
from tests.fakes import FakeDns
from tests.harness import serving
from tests.phases.scripted import Question, rule

NAMES = ("example.org", "sales@example.org", ".example.org", ".b.example.org", "a.b.example.org")
POLICIES = Policies({}, [Policy(name, (name,), {}) for name in NAMES], "+")


def about(recipient: str) -> Transaction:
    return facts().about(mailbox(recipient))


@pytest.mark.parametrize(
    ("recipient", "policy"),
    [
        ("you@example.org", "example.org"),
        ("sales@example.org", "sales@example.org"),
        ("Sales+spring@Example.ORG", "sales@example.org"),
        ("sales@a.example.org", ".example.org"),
        ("you@b.example.org", ".example.org"),
        ("you@c.b.example.org", ".b.example.org"),
        ("you@a.b.example.org", "a.b.example.org"),
        ("you@d.c.b.example.org", ".b.example.org"),
        ("you@notexample.org", ""),
        ("you@org", ""),
        ("you@[192.0.2.1]", ""),
        ("postmaster", ""),
    ],
)
def test_the_nearest_policy_holds(recipient: str, policy: str) -> None:
    assert POLICIES.of(Phase.RCPT, about(recipient)).name == policy
    assert POLICIES.of(Phase.MAIL, about(recipient)).name == ""


def test_after_rcpt_the_first_recipient_stands_for_all() -> None:
    tx = facts()
    tx.recipients[:] = map(mailbox, ("you@example.org", "sales@example.org"))
    assert POLICIES.of(Phase.DATA, tx).name == "example.org"


SAME, OTHER = Question(), Question()


@pytest.mark.parametrize(
    ("mine", "yours", "together"),
    [
        ({}, {}, True),
        ({Phase.RCPT: [(SAME, False)]}, {Phase.RCPT: [(OTHER, False)]}, True),
        ({Phase.DATA: [(SAME, False)]}, {Phase.DATA: [(SAME, False)]}, True),
        ({Phase.DATA: [(SAME, False)]}, {Phase.DATA: [(OTHER, False)]}, False),
        ({Phase.DATA: [(SAME, False)]}, {Phase.DATA: [(SAME, True)]}, False),
        ({Phase.DATA: [(SAME, False)]}, {Phase.END_OF_DATA: [(SAME, False)]}, False),
        ({Phase.END_OF_DATA: [(SAME, False)]}, {}, False),
    ],
)
def test_who_can_share_a_message(mine: dict, yours: dict, together: bool) -> None:
    def lists(written: dict) -> dict:
        return {
            phase: tuple(rule(phase, question, shadow=shadow) for question, shadow in rules)
            for phase, rules in written.items()
        }

    policies = Policies({}, [Policy(name, (f"{name}@example.org",), lists(rules)) for name, rules in
                             (("me", mine), ("you", yours))])  # fmt: skip
    tx = facts(recipient="me@example.org")
    for first, second in (("me", "you"), ("you", "me")):
        tx.recipients[:] = [mailbox(f"{first}@example.org")]
        reply = policies.apart(tx.about(mailbox(f"{second}@example.org")))
        assert (reply is None) == together
        assert reply is None or (reply.code, reply.enhanced) == (452, "4.5.3")


CONFIG = """
[phases]
mail = ["check_spf", "reject_unknown_sender_domain"]
rcpt = ["reject_unauth_destination"]
"""


async def test_twenty_recipients_with_policies_of_their_own_cost_one_evaluation() -> None:
    own = "".join(
        f'[[policy]]\nrecipients = ["{number}@example.org"]\nmail = ["check_spf"]\n'
        f'rcpt = ["reject_unauth_destination", "check_spf"]\n'
        for number in range(20)
    )
    dns = FakeDns(TXT={"example.net": ["v=spf1 +all"]}, MX={"example.net": ["10 mx.example.net"]})
    async with serving(CONFIG + own, dns=dns) as gate, gate.client() as client:
        await client.greet()
        replies = await client.deliver("me@example.net", [f"{number}@example.org" for number in range(20)], b"\r\n")
        assert [reply[:3] for reply in replies] == ["250"] * 21 + ["354", "250"]
    assert dns.asked.count(("example.net", "TXT")) == 1
    (message,) = gate.downstream.messages
    assert message.content.count(b"spf=pass") == 1


async def test_what_a_policy_asks_is_asked_at_once() -> None:
    """The longest chain, not the sum: both answers are waited for together."""
    gates = {name: asyncio.Event() for name in ("1.0.0.127.a.example", "1.0.0.127.b.example")}
    both = asyncio.Event()

    class Dns(FakeDns):
        async def query(self, name, kind):
            if len(self.asked) == 1:
                both.set()
            return await super().query(name, kind)

    dns = Dns(gate=gates)
    config = """
[phases]
rcpt = ["reject_unauth_destination"]
[[policy]]
recipients = ["example.org"]
client = ["reject_rbl_client a.example"]
rcpt = ["reject_unauth_destination", "reject_rbl_client b.example"]
"""
    async with serving(config, dns=dns) as gate, gate.client() as client:
        await client.greet()
        await client.ask("MAIL FROM:<me@example.net>")
        assert dns.asked == []
        await client.send("RCPT TO:<you@example.org>")
        async with asyncio.timeout(10):
            await both.wait()
        for event in gates.values():
            event.set()
        assert (await client.reply()).startswith("250")


async def test_the_record_tells_whose_rule_it_was() -> None:
    config = CONFIG + '[[policy]]\nrecipients = ["a@example.org"]\nmail = ["permit_mynetworks"]\n'
    async with serving(config) as gate, gate.client() as client:
        await client.greet()
        await client.deliver("me@example.net", ["a@example.org"], b"\r\n")
    assert [(entry.rule, entry.policy) for entry in gate.records[0].rules] == [
        ("permit_mynetworks", "a@example.org"),
        ("reject_unauth_destination", ""),
    ]


WHOLE = """[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:var/mail"
[phases]
rcpt = ["reject_unauth_destination"]
[[policy]]
recipients = ["Example.org", "Sales@EXAMPLE.net", ".bücher.example"]
rcpt = ["permit_mynetworks", "reject_unauth_destination"]
"""


def test_config_show_shows_them_and_reads_what_it_shows() -> None:
    settings = load(WHOLE, REGISTRY)
    shown = dump(settings.effective)
    assert '[[policy]]\nrecipients = ["example.org", "sales@example.net", ".xn--bcher-kva.example"]' in shown
    assert load(shown, REGISTRY).effective == settings.effective
    assert len(settings.rules) == 3
