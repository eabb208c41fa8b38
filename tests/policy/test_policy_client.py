"""Connections to a policy service: kept, never used again when out of step, tried again."""

import asyncio

import pytest

from smtpgate.policy.client import PolicyClient
from smtpgate.policy.connection import PolicyUnavailable
from smtpgate.policy.service import PolicyLimits, PolicyService
from tests.harness import serving
from tests.loops import PATIENCE, let_pass, on_both_loops
from tests.policy.played_service import CLOSE, HANG, PlayedService, played

DUNNO = b"action=DUNNO\n\n"
ONCE = PolicyLimits(tries=1)
TWICE = PolicyLimits(retry_delay=0.0)
QUESTION = (("request", "smtpd_access_policy"), ("sender", "a@example.net"))


async def ask(
    client: PolicyClient, service: PlayedService, limits: PolicyLimits = ONCE, instance: str = "7QK2M9XA"
) -> str:
    async with asyncio.timeout(PATIENCE):
        return await client.ask(service.address, QUESTION, instance, limits)


@on_both_loops
async def test_one_connection_carries_many_questions(tmp_path):
    for path in (None, tmp_path / "s"):
        async with played(DUNNO, b"action=REJECT No\n\n", path=path) as service:
            client = PolicyClient()
            assert [await ask(client, service) for _ in range(3)] == ["DUNNO", "REJECT No", "REJECT No"]
            await client.close()
            await service.gone[0].wait()
            assert service.questions == [[dict(QUESTION)] * 3]


async def test_an_answer_comes_in_any_pieces():
    async with played((b"act", b"ion=", b"PREPEND X: y\r", b"\n", b"\n")) as service:
        assert await ask(PolicyClient(), service) == "PREPEND X: y"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (CLOSE, "it closed the connection"),
        ((b"action=DUN", CLOSE), "it closed the connection"),
        (b"nonsense\n\n", "not name=value"),
        (b"\n", "not name=value"),
        (b"action=\n\n", "no action"),
        (b"act=DUNNO\n\n", "no action"),
        (b"action=\xff\n\n", "not UTF-8"),
        (b"action=" + b"x" * 20_000, "more than 16384"),
        (b"action=" + b"x" * 20_000 + b"\n\n", "more than 16384"),
        (tuple([b"action=DUNNO\n"] + [b"a=b\n"] * 5000), "more than 16384"),
    ],
)
async def test_no_answer_is_a_reason_and_ends_the_connection(answer, why):
    async with played(answer, DUNNO) as service:
        client = PolicyClient()
        with pytest.raises(PolicyUnavailable, match=why):
            await ask(client, service)
        await service.gone[0].wait()
        assert await ask(client, service) == "DUNNO"
        assert len(service.questions) == 2


@pytest.mark.parametrize("answer", [HANG, b"action=DUN", (b"a=b\n", HANG)])
async def test_a_service_that_hangs_or_stops_in_the_middle_costs_one_deadline(answer):
    async with played(answer, DUNNO) as service:
        client = PolicyClient()
        asking = asyncio.create_task(client.ask(service.address, QUESTION, "7QK2M9XA", ONCE))
        await service.asked.wait()
        await let_pass(ONCE.timeout)
        with pytest.raises(PolicyUnavailable, match="no answer within 100 s"):
            await asking
        await ask(client, service)
        assert len(service.questions) == 2


async def test_more_than_an_answer_is_an_answer_and_the_end_of_the_connection():
    async with played(DUNNO + b"\n", DUNNO) as service:
        client = PolicyClient()
        assert [await ask(client, service), await ask(client, service)] == ["DUNNO", "DUNNO"]
        assert [len(questions) for questions in service.questions] == [1, 1]


async def test_what_nobody_asked_for_ends_an_idle_connection():
    async with played() as service:
        client = PolicyClient()
        await ask(client, service)
        service.writers[0].write(b"action=REJECT\n\n")
        await service.gone[0].wait()
        assert await ask(client, service) == "DUNNO"
        assert len(service.questions) == 2


async def test_a_cancelled_question_takes_its_connection_along():
    async with played(HANG, b"action=REJECT\n\n") as service:
        client = PolicyClient()
        asking = asyncio.create_task(ask(client, service))
        await service.asked.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert await ask(client, service) == "REJECT"
        await service.gone[0].wait()


async def test_a_failure_is_tried_again():
    async with played(CLOSE, DUNNO) as service:
        assert await ask(PolicyClient(), service, TWICE) == "DUNNO"


async def test_the_last_reason_counts():
    async with played(CLOSE, b"nonsense\n\n", DUNNO) as service:
        with pytest.raises(PolicyUnavailable, match="nonsense"):
            await ask(PolicyClient(), service, TWICE)


async def test_nobody_listens(tmp_path):
    with pytest.raises(PolicyUnavailable, match="No such file"):
        await PolicyClient().ask(PolicyService(path=str(tmp_path / "none")), QUESTION, "", TWICE)


async def test_a_service_that_was_restarted_meanwhile_is_reached_anew():
    async with played() as service:
        client = PolicyClient()
        await ask(client, service)
        service.writers[0].close()
        await service.gone[0].wait()
        assert await ask(client, service) == "DUNNO"


async def test_idle_connections_are_closed():
    async with played() as service:
        await ask(PolicyClient(), service, PolicyLimits(idle=0.01))
        async with asyncio.timeout(PATIENCE):
            await service.gone[0].wait()


async def test_old_connections_are_not_kept():
    async with played() as service:
        client = PolicyClient()
        for _ in range(2):
            await ask(client, service, PolicyLimits(lifetime=0.0))
        assert [len(questions) for questions in service.questions] == [1, 1]


async def test_questions_about_one_transaction_go_over_one_connection():
    async with played() as service:
        client = PolicyClient()
        await asyncio.gather(ask(client, service, instance="A"), ask(client, service, instance="B"))
        for instance in "ABAB":
            await ask(client, service, instance=instance)
        assert [len(questions) for questions in service.questions] == [3, 3]


async def test_there_are_never_more_connections_than_allowed():
    async with played() as service:
        client = PolicyClient()
        limits = PolicyLimits(connections=2)
        await asyncio.gather(*(ask(client, service, limits) for _ in range(20)))
        assert len(service.questions) <= 2
        assert sum(map(len, service.questions)) == 20


async def test_failures_are_told_once_and_so_is_their_end(caplog):
    async with played(CLOSE, CLOSE, DUNNO) as service:
        client = PolicyClient()
        for _ in range(2):
            with pytest.raises(PolicyUnavailable):
                await ask(client, service)
        for _ in range(2):
            await ask(client, service)
    assert [record.getMessage() for record in caplog.records] == [
        f"policy service {service.address} fails: it closed the connection",
        f"policy service {service.address} answers again",
    ]


CONFIG = """
[phases]
rcpt = ["reject_unauth_destination", {{ rule = "check_policy_service {service}", mode = "{mode}", retry_delay = "0s" }}]
"""


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
async def test_each_recipient_of_a_session_is_asked_about(mode):
    async with (
        played(DUNNO, b"action=REJECT No\n\n") as service,
        serving(CONFIG.format(service=service.address, mode=mode)) as gate,
        gate.client() as client,
    ):
        await client.greet()
        replies = await client.deliver("a@example.net", ["b@example.org", "c@example.org"], b"x: y\r\n\r\n")
        (record,) = await ended(client, gate)
        asked = [question["recipient"] for questions in service.questions for question in questions]
        assert sorted(asked) == ["b@example.org", "c@example.org"]
        assert {question["instance"] for questions in service.questions for question in questions} == {record.ref}
    refused = f"554 5.7.1 <c@example.org>: Recipient address rejected: No (ref {record.ref})"
    assert (replies[2] == refused) is (mode == "enforce")
    rules = [entry for entry in record.rules if entry.rule.startswith("check_policy_service")]
    assert [entry.evidence["action"] for entry in rules] == ["DUNNO", "REJECT No"]


async def test_a_service_that_is_away_is_a_server_configuration_problem():
    async with serving(CONFIG.format(service="unix:nowhere/policy", mode="enforce")) as gate, gate.client() as client:
        await client.greet()
        replies = await client.deliver("a@example.net", ["b@example.org"], b"x: y\r\n\r\n")
        (record,) = await ended(client, gate)
    assert replies[1].startswith("451 4.3.5 <b@example.org>: Recipient address rejected: Server configuration problem")
    assert record.outcome == "deferred"
    assert "No such file" in record.rules[-1].evidence["failure"]


async def ended(client, gate):
    await client.ask("QUIT")
    await client.close()
    return await gate.settled()


async def test_a_service_may_name_rules_that_are_asked_in_its_place():
    async with (
        played(b"action=permit_mynetworks, reject_non_fqdn_sender\n\n") as service,
        serving(CONFIG.format(service=service.address, mode="enforce")) as gate,
        gate.client() as client,
    ):
        await client.greet()
        replies = await client.deliver("a@localhost", ["b@example.org"], b"x: y\r\n\r\n")
    assert replies[1].startswith("504 5.5.2 <a@localhost>: Sender address rejected: need fully-qualified address")


async def test_a_field_that_a_service_prepends_is_in_the_message():
    async with (
        played(b"action=PREPEND X-Seen: by the service\n\n") as service,
        serving(CONFIG.format(service=service.address, mode="enforce")) as gate,
        gate.client() as client,
    ):
        await client.greet()
        replies = await client.deliver("a@example.net", ["b@example.org"], b"x: y\r\n\r\n")
    assert replies[-1].startswith("250 ")
    (message,) = gate.downstream.messages
    assert b"X-Seen: by the service\r\n" in message.content
