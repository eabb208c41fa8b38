"""LMTP's answers for each recipient: the retry reaches only the rest, and nobody loses anything."""

import asyncio
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.content import Content
from smtpgate.relay.downstream import DownstreamUnavailable, Envelope
from smtpgate.smtp.redelivery import ALREADY, Redelivery
from smtpgate.store.greylist import StoreError
from tests.fake_store import FakeDelivered
from tests.harness import PLAIN, serving
from tests.smtp.mailboxes import FULL, LATER, SAVED, UNKNOWN, Mailboxes, Sender


async def test_a_retry_reaches_only_the_rest():
    sender = Sender(Mailboxes(b=FULL))
    assert await sender.send("a", "b", "c") == [SAVED, FULL, SAVED]
    assert await sender.send("a", "b", "c") == [FULL, ALREADY, ALREADY]
    del sender.server.answers["b"]
    assert await sender.send("a", "b", "c") == [SAVED, ALREADY, ALREADY]
    assert sender.got() == {"a": 1, "b": 1, "c": 1}
    assert sender.server.saved[-1] == ("b", b"Received: attempt 3\r\nSubject: x\r\n\r\nHello\r\n")


async def test_when_all_have_it_nobody_gets_it():
    sender = Sender(Mailboxes(b=FULL))
    await sender.send("a", "b")
    assert await sender.send("a") == [ALREADY]
    assert sender.got() == {"a": 1}


@pytest.mark.parametrize(
    "other", [{"sender": "you@x"}, {"sender": ""}, {"content": b"Subject: x\r\n\r\nHullo\r\n"}, {"content": b""}]
)
async def test_another_message_is_another_message(other):
    sender = Sender(Mailboxes(b=FULL))
    await sender.send("a", "b")
    assert await sender.send("a", **other) == [SAVED]
    assert sender.got() == {"a": 2}


@pytest.mark.parametrize("answers", [{}, {"a": FULL, "b": UNKNOWN}])
async def test_nothing_is_remembered_when_all_are_of_one_mind(answers):
    sender = Sender(Mailboxes(**answers))
    first = await sender.send("a", "b")
    assert sender.memory.rows == {}
    assert await sender.send("a", "b") == first


async def test_the_rest_may_be_refused_at_rcpt_the_next_time():
    sender = Sender(Mailboxes(b=FULL, c=FULL))
    await sender.send("a", "b", "c")
    sender.server.answers = {}
    original = sender.server.begin

    def begin(envelope):
        sender.server.refuses = {"b": UNKNOWN} if sender.server.begun >= 2 else {}
        return original(envelope)

    sender.server.begin = begin
    assert await sender.send("a", "b", "c") == [SAVED, UNKNOWN, ALREADY]
    assert sender.got() == {"a": 1, "c": 1}
    sender.server.refuses = {}
    sender.server.begun, sender.server.ended = 1, 1
    assert await sender.send("a", "b", "c") == [UNKNOWN, ALREADY, ALREADY]  # c is remembered too


async def test_each_failed_attempt_counts_anew():
    sender = Sender(Mailboxes(b=FULL))
    await sender.send("a", "b")
    sender.clock.advance(1000)
    await sender.send("a", "b")
    [row] = sender.memory.rows.values()
    assert row == {"a": sender.clock.now}


async def test_a_downstream_that_goes_away_in_between_forgets_nothing():
    sender = Sender(Mailboxes(b=FULL))
    await sender.send("a", "b")
    transaction = Redelivery(Envelope("me@x"), sender.server, sender.memory, sender.clock)
    for recipient in ("a", "b"):
        await transaction.recipient(recipient)
    sender.server.away = True
    received = Content.of(b"Subject: x\r\n\r\nHello\r\n")
    with pytest.raises(DownstreamUnavailable):
        await transaction.deliver(received, received)
    sender.server.away = False
    sender.server.begun = sender.server.ended = 0
    sender.server.answers = {}
    assert await sender.send("a", "b") == [SAVED, ALREADY]
    assert sender.got() == {"a": 1, "b": 1}


async def test_without_the_store_all_get_it(caplog):
    sender = Sender(Mailboxes(b=FULL))
    sender.memory.broken = True
    with caplog.at_level(logging.WARNING):
        assert await sender.send("a", "b") == [SAVED, FULL]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "who has a message already cannot be found out, so all get it",
        "1 recipients will get a message twice",
    ]
    sender.memory.broken = False
    assert await sender.send("a", "b") == [SAVED, FULL]
    assert sender.got() == {"a": 2}  # a duplicate, no loss


async def test_a_store_that_does_not_answer_holds_nobody_up(monkeypatch, caplog):
    class Silent(FakeDelivered):
        async def delivered(self, digest):
            return await asyncio.Event().wait()

        async def remember(self, digest, recipients, at):
            await asyncio.Event().wait()

    monkeypatch.setattr("smtpgate.smtp.redelivery._STORE_TIMEOUT", 0.01)
    assert await Sender(Mailboxes(b=FULL), Silent()).send("a", "b") == [SAVED, FULL]
    assert len(caplog.records) == 2


async def test_a_server_that_answers_once_needs_no_memory():
    sender = Sender(Mailboxes())
    sender.server.per_recipient = False
    sender.memory.broken = True  # it is not asked
    assert await sender.send("a", "b") == [SAVED]


async def test_what_the_client_was_promised_is_forgotten():
    """A device may send the same octets each day: they are a new message once the one before is settled."""
    sender = Sender(Mailboxes(b=FULL))
    for day in (1, 2):
        sender.server.answers = {"b": FULL}
        assert await sender.send("a", "b", copies=["copy"]) == [SAVED, FULL]
        sender.server.answers = {}
        assert await sender.send("a", "b", copies=["copy"]) == [SAVED, ALREADY]
        assert sender.got() == {"a": day, "b": day, "copy": day}
    assert list(sender.memory.rows.values()) == [{}]


async def test_what_others_wait_for_is_not_forgotten():
    sender = Sender(Mailboxes(b=FULL))
    await sender.send("a", "b", "c")
    assert await sender.send("a") == [ALREADY]
    assert await sender.send("b", "c") == [FULL, ALREADY]
    assert sender.got() == {"a": 1, "c": 1}


async def test_what_cannot_be_forgotten_is_told(caplog):
    class Stuck(FakeDelivered):
        async def forget(self, digest, recipients):
            raise StoreError("locked")

    sender = Sender(Mailboxes(b=FULL), Stuck())
    await sender.send("a", "b")
    assert await sender.send("a") == [ALREADY]
    [told] = caplog.messages
    assert told == "a message that was sent on is taken for a retry if it comes again: locked"


async def test_who_is_named_twice_is_put_once():
    """Some LMTP servers answer once for him: another one's answer would be taken for his."""
    sender = Sender(Mailboxes(b=FULL))
    assert await sender.send("a", "a", "b", "a") == [SAVED, FULL]
    assert await sender.send("b", "a", "a") == [FULL, ALREADY]
    assert sender.got() == {"a": 1}


boxes = st.sampled_from("abcd")
moods = st.dictionaries(boxes, st.sampled_from([FULL, UNKNOWN, LATER]))


@given(st.lists(boxes, min_size=1, max_size=4, unique=True), st.lists(moods, max_size=5))
def test_whatever_the_mailboxes_say_all_get_it_once(recipients, history):
    async def run() -> None:
        sender = Sender(Mailboxes())
        for answers in [*history, {}]:
            sender.server.answers = answers
            replies = await sender.send(*recipients)
            assert len(replies) == len(recipients)
            if all(reply.is_positive for reply in replies):
                break
        assert sender.got() == dict.fromkeys(recipients, 1)

    asyncio.run(run())


async def test_a_retry_that_is_refused_for_good_ends_it():
    """First 451, for a mailbox may have room again; then 5xx, and who has the message never gets it twice."""
    server = Mailboxes(**{"b@example.org": UNKNOWN, "c@example.org": FULL})
    recipients = ["a@example.org", "b@example.org", "c@example.org"]
    content = b"Subject: x\r\n\r\nHello\r\n"
    async with serving(PLAIN, downstream=server) as gate:
        async with gate.client() as client:
            await client.greet()
            heard = []
            for answers in (
                server.answers,
                {"b@example.org": UNKNOWN, "c@example.org": FULL},
                {"b@example.org": UNKNOWN},
            ):
                server.answers = answers
                heard.append((await client.deliver("me@example.com", recipients, content))[-1])
            # Others of the same message, in a transaction of their own, have had no trial yet.
            server.answers = {"e@example.org": UNKNOWN}
            heard.append((await client.deliver("me@example.com", ["d@example.org", "e@example.org"], content))[-1])
        records = await gate.settled()
    assert [reply[:9] for reply in heard] == ["451 4.3.0", "451 4.3.0", "550 5.1.1", "451 4.3.0"]
    assert "Unknown; the other recipients have the message (ref " in heard[2]
    assert [record.outcome for record in records] == ["deferred", "deferred", "rejected", "deferred"]
    assert Counter(address for address, _ in server.saved) == Counter(
        ["a@example.org", "c@example.org", "d@example.org"]
    )


async def test_what_the_client_hears():
    server = Mailboxes(**{"b@example.org": FULL})
    recipients = ["a@example.org", "b@example.org"]
    content = b"Subject: x\r\n\r\nHello\r\n"
    async with serving(PLAIN, downstream=server) as gate:
        async with gate.client() as client:
            await client.greet()
            replies = await client.deliver("me@example.com", recipients, content)
            assert replies[-1].startswith("451 4.3.0 Some recipients were not accepted")
            server.answers = {}
            replies = await client.deliver("me@example.com", recipients, content)
            assert replies[-1].startswith("250 2.0.0 Saved")
            server.answers = {"b@example.org": FULL}
            await client.deliver("me@example.com", recipients, content + b"more\r\n")
            replies = await client.deliver("me@example.com", recipients[:1], content + b"more\r\n")
            assert replies[-1].startswith("250 2.0.0 Ok: delivered at an earlier attempt")
        records = await gate.settled()
    assert [record.outcome for record in records] == ["deferred", "accepted", "deferred", "accepted"]
    assert [entry.reply for entry in records[1].relay][2:] == [str(SAVED), str(ALREADY)]
    assert Counter(address for address, _ in server.saved) == {"a@example.org": 2, "b@example.org": 1}
