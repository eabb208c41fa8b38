"""Every part of aiosmtpd and asyncio that we touch: an upgrade that changes one fails here, by name."""

import asyncio
import inspect

import pytest
from aiosmtpd.smtp import SMTP

from smtpgate.smtp.conversation import Conversation
from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.exchange import Exchange
from smtpgate.smtp.protocol import Connection

# aiosmtpd's own, of which none may run: each does what the head of protocol.py says.
REPLACED = ["__init__", "connection_made", "connection_lost", "eof_received"]
REPLACED_ABOVE = {"_handle_client": Conversation, "_reset_timeout": Exchange, "_timeout_cb": Exchange}


@pytest.mark.parametrize("name", REPLACED)
def test_the_connection_replaces_what_is_there(name: str) -> None:
    assert name in vars(SMTP)
    assert name in vars(Connection)


@pytest.mark.parametrize(("name", "by"), REPLACED_ABOVE.items())
def test_its_subclasses_replace_what_is_there(name: str, by: type) -> None:
    assert name in vars(SMTP)
    assert name in vars(by)


@pytest.mark.parametrize("name", REPLACED)
def test_none_calls_what_it_replaces(name: str) -> None:
    """Theirs need a reader, a writer and an envelope, which we do not have."""
    assert "super()" not in inspect.getsource(vars(Connection)[name])


def test_the_event_loop_calls_nothing_of_theirs() -> None:
    """What asyncio.Protocol has for the event loop to call is ours, and nothing else is in the way."""
    called = [name for name in dir(asyncio.Protocol) if not name.startswith("_")]
    assert called
    assert [name for name in called if name not in vars(Connection)] == []


def test_its_life_begins_and_ends_with_our_handler() -> None:
    """Theirs starts _handle_client as a task and cancels it at the end; so does ours."""
    for life, task in ((SMTP, "_handler_coroutine"), (Connection, "serving")):
        assert "create_task(" in inspect.getsource(life.connection_made)
        assert f"self.{task}.cancel()" in inspect.getsource(life.connection_lost)


def test_no_command_of_its_is_reachable() -> None:
    """Only our own table is asked, so that its address parser and its DATA are never run."""
    ours = {function.__module__ for function in Dialog.VERBS.values()}
    assert ours == {"smtpgate.smtp.dialog"}
