"""What the records of a session say."""

import pytest

from smtpgate.record import Record
from smtpgate.relay.downstream import RelayReply
from tests.fakes import FakeDownstream
from tests.harness import serving
from tests.smtp.talking import BODY, ENVELOPE, say


async def test_the_record_of_a_mixed_transaction() -> None:
    downstream = FakeDownstream(recipient={"unknown@example.org": RelayReply(550, "5.1.1", "No such user")})
    async with serving(downstream=downstream) as gate:
        async with gate.client() as client:
            await client.greet()
            replies = await client.deliver("me@example.net", ["unknown@example.org", "you@example.org"], BODY)
        [record] = await gate.settled()
        assert record.ref in replies[1]
        assert record.ref in replies[-1]
        assert record.outcome == "accepted"
        assert record.recipients == ["unknown@example.org", "you@example.org"]
        assert [entry.command for entry in record.replies] == [
            "RCPT unknown@example.org", "RCPT you@example.org", "end of data",
        ]  # fmt: skip
        assert [entry.command for entry in record.relay] == [
            "RCPT unknown@example.org", "RCPT you@example.org", "end of data",
        ]  # fmt: skip
        assert record.size == len(BODY)


OUTCOMES = [
    ("RCPT TO:<you@elsewhere.example>", "rejected", "reject_unauth_destination"),
    ("RCPT TO:<unknown@example.org>", "rejected", "downstream"),
    ("RCPT TO:<full@example.org>", "deferred", "downstream"),
    ("RCPT TO:<you@example.org>", "abandoned", None),
]


@pytest.mark.parametrize(("command", "outcome", "decided_by"), OUTCOMES)
async def test_the_record_of_a_transaction_that_ends_at_rcpt(
    command: str, outcome: str, decided_by: str | None
) -> None:
    answers = {
        "unknown@example.org": RelayReply(550, "5.1.1", "No such user"),
        "full@example.org": RelayReply(452, "4.2.2", "Full"),
    }
    async with serving(downstream=FakeDownstream(recipient=answers)) as gate:
        async with gate.client() as client:
            await say(client, [*ENVELOPE[:2], command, "QUIT"])
        [record] = await gate.settled()
        assert (record.outcome, record.decided_by) == (outcome, decided_by)


async def test_mistakes_outside_of_a_transaction_have_a_record_too() -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await client.reply()
            reply = await client.ask("FROB")
        [record] = await gate.settled()
        assert record.ref in reply
        assert [(entry.command, entry.reply[:9]) for entry in record.replies] == [("FROB", "500 5.5.2")]


async def test_two_messages_have_two_records() -> None:
    async with serving() as gate:
        async with gate.client() as client:
            await client.greet()
            for _ in range(2):
                await client.deliver("me@example.net", ["you@example.org"], BODY)
        records: list[Record] = await gate.settled()
        assert len({record.ref for record in records}) == 2
