"""Copies that rules want (BCC): once, never in place of the client's answer, and nobody loses anything for one."""

import pytest

from smtpgate.relay.downstream import DownstreamUnavailable
from smtpgate.smtp.redelivery import ALREADY, NOT_NOW
from tests.smtp.mailboxes import FULL, SAVED, UNKNOWN, Mailboxes, Sender


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
