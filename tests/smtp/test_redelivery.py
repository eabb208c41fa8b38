"""LMTP's answers for each recipient: the retry reaches only the rest, and nobody loses anything."""

import asyncio
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.content import Content
from smtpgate.relay.downstream import NO_PARAMETERS, DownstreamUnavailable, Envelope, RcptParameters, RelayReply
from smtpgate.smtp.redelivery import ALREADY, NOT_NOW, Redelivery
from smtpgate.store.greylist import StoreError
from tests.fake_store import FakeDelivered
from tests.fakes import Clock
from tests.harness import PLAIN, serving

SAVED = RelayReply(250, "2.0.0", "Saved")
FULL = RelayReply(452, "4.2.2", "Full")
UNKNOWN = RelayReply(550, "5.1.1", "Unknown")
LATER = RelayReply(450, "4.2.1", "Later")


class Mailboxes:
    """An LMTP server. answers: for some recipients at the end of data. refuses: for some at RCPT. saved: each message
    and who got it. away: it cannot be reached. per_recipient: False for a server that answers once for all.
    alone: who must be the first of a transaction, as if his mail went another way.
    """

    requiretls = False
    extensions = frozenset()

    def __init__(self, **answers: RelayReply | Exception) -> None:
        self.answers = answers
        self.refuses: dict[str, RelayReply] = {}
        self.saved: list[tuple[str, bytes]] = []
        self.begun = 0
        self.ended = 0
        self.away = False
        self.per_recipient = True
        self.alone: set[str] = set()

    def begin(self, envelope: Envelope) -> "Transaction":
        self.begun += 1
        return Transaction(self)

    def health(self):
        return []

    async def close(self) -> None:
        pass


class Transaction:
    def __init__(self, server: Mailboxes) -> None:
        self._server = server
        self._accepted: list[str] = []
        self._over = False

    @property
    def per_recipient(self) -> bool:
        return self._server.per_recipient

    async def recipient(self, address: str, parameters: RcptParameters = NO_PARAMETERS) -> RelayReply:
        assert not self._over
        if self._server.away:
            raise DownstreamUnavailable("away")
        reply = self._server.refuses.get(address, RelayReply(250, "2.1.5", "Ok"))
        if address in self._server.alone and self._accepted:
            reply = RelayReply(452, "4.5.3", "Separately")
        if reply.is_positive:
            self._accepted.append(address)
        return reply

    async def deliver(self, content: Content) -> list[RelayReply]:
        assert not self._over
        assert self._accepted
        self._end()
        answers = [self._server.answers.get(address, SAVED) for address in self._accepted]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        taken = [address for address, answer in zip(self._accepted, answers, strict=True) if answer.is_positive]
        self._server.saved += [(address, b"".join(content)) for address in taken]
        return answers if self._server.per_recipient else answers[:1]

    async def abandon(self) -> None:
        if not self._over:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._server.ended += 1


class Sender:
    """Sends one message again and again."""

    def __init__(self, server: Mailboxes, memory: FakeDelivered | None = None) -> None:
        self.server = server
        self.memory = memory or FakeDelivered()
        self.clock = Clock()
        self._attempts = 0

    async def send(
        self, *recipients: str, sender="me@x", content=b"Subject: x\r\n\r\nHello\r\n", copies=()
    ) -> list[RelayReply]:
        self._attempts += 1
        transaction = Redelivery(Envelope(sender), self.server, self.memory, self.clock)
        for recipient in recipients:
            await transaction.recipient(recipient)
        received = Content.of(content)
        outgoing = received.with_head(b"Received: attempt %d\r\n" % self._attempts + received.head)
        try:
            return await transaction.deliver(outgoing, received, [(copy, NO_PARAMETERS) for copy in copies])
        finally:
            assert self.server.begun == self.server.ended

    def got(self) -> Counter[str]:
        return Counter(address for address, _ in self.server.saved)


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


@pytest.mark.parametrize("refusal", [FULL, UNKNOWN])
async def test_a_copy_that_is_not_taken_is_never_the_clients_answer(refusal):
    """Nor does it matter how often: whom the client has named gets the message with the copy, or not at all."""
    sender = Sender(Mailboxes(copy=refusal))
    for _ in range(3):
        assert await sender.send("a", copies=["copy"]) == [NOT_NOW]
    assert sender.got() == {}
    sender.server.answers = {}
    assert await sender.send("a", copies=["copy"]) == [SAVED]
    assert sender.got() == {"a": 1, "copy": 1}


async def test_a_refusal_of_whom_the_client_has_named_is_its_answer_whatever_became_of_the_copy():
    sender = Sender(Mailboxes(a=UNKNOWN))
    assert await sender.send("a", copies=["copy"]) == [UNKNOWN]
    assert sender.got() == {"copy": 1}


@pytest.mark.parametrize("per_recipient", [True, False])
@pytest.mark.parametrize("trouble", [FULL, DownstreamUnavailable("gone")])
async def test_a_copy_with_a_route_of_its_own_goes_out_once(per_recipient, trouble):
    server = Mailboxes()
    server.per_recipient = per_recipient
    server.alone = {"copy"}
    sender = Sender(server)
    server.answers = {"a": trouble}
    for _ in range(2):
        if isinstance(trouble, Exception):
            with pytest.raises(DownstreamUnavailable):
                await sender.send("a", copies=["copy"])
        else:
            assert await sender.send("a", copies=["copy"]) == [trouble]
    server.answers = {}
    assert await sender.send("a", copies=["copy"]) == [SAVED]
    assert sender.got() == {"copy": 1, "a": 1}


async def test_of_several_copies_those_that_were_taken_are_remembered():
    sender = Sender(Mailboxes(second=FULL))
    assert await sender.send("a", copies=["first", "second"]) == [NOT_NOW]
    sender.server.answers = {"a": FULL}
    assert await sender.send("a", "b", copies=["first", "second"]) == [FULL, SAVED]
    sender.server.answers = {}
    assert await sender.send("a", "b", copies=["first", "second"]) == [SAVED, ALREADY]
    assert sender.got() == {"first": 1, "second": 1, "a": 1, "b": 1}


async def test_where_one_answer_speaks_for_all_the_copy_goes_with_them():
    sender = Sender(Mailboxes())
    sender.server.per_recipient = False
    assert await sender.send("a", copies=["copy"]) == [SAVED]
    assert (sender.server.begun, sender.got()) == (1, {"a": 1, "copy": 1})


async def test_whom_the_client_names_elsewhere_gets_it_there_too():
    """A copy belongs to its transaction, as with Postfix. To look for one would cost each message a question."""
    server = Mailboxes(a=FULL)
    server.per_recipient = False
    server.alone = {"copy"}
    sender = Sender(server)
    assert await sender.send("a", copies=["copy"]) == [FULL]
    assert await sender.send("copy") == [SAVED]
    server.answers = {}
    assert await sender.send("a", copies=["copy"]) == [SAVED]
    assert sender.got() == {"a": 1, "copy": 2}


@pytest.mark.parametrize("per_recipient", [True, False])
async def test_a_copy_that_is_no_longer_wanted_at_the_retry_loses_nothing(per_recipient):
    server = Mailboxes(a=FULL)
    server.per_recipient = per_recipient
    server.alone = {"copy"}
    sender = Sender(server)
    assert await sender.send("a", copies=["copy"]) == [FULL]
    server.answers = {}
    assert await sender.send("a") == [SAVED]
    assert sender.got() == {"a": 1, "copy": 1}


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
