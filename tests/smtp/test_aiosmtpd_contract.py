"""Every private part of aiosmtpd and asyncio that we touch: an upgrade that changes one fails here, by name."""

import asyncio
import inspect

import pytest
from aiosmtpd.smtp import SMTP

from smtpgate.smtp.dialog import Dialog
from smtpgate.smtp.protocol import Connection

OVERRIDDEN = ["connection_lost", "_handle_client", "_reset_timeout", "_timeout_cb", "eof_received"]
USED = ["_cb_client_connected", "connection_made", "connection_lost"]
SET_BY_ITS_CONSTRUCTOR = [
    "loop", "event_handler", "hostname", "enable_SMTPUTF8", "tls_context", "session", "envelope", "transport",
    "_timeout_duration", "_timeout_handle", "_tls_handshake_okay", "_tls_protocol", "_original_transport",
    "_handler_coroutine",
]  # fmt: skip


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_we_override_what_is_there(name: str) -> None:
    assert callable(getattr(SMTP, name))
    assert name in vars(Connection)


@pytest.mark.parametrize("name", USED)
def test_we_use_what_is_there(name: str) -> None:
    assert callable(getattr(SMTP, name))


@pytest.mark.parametrize("name", SET_BY_ITS_CONSTRUCTOR)
def test_we_set_what_its_constructor_sets(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(SMTP.__init__)
    assert f"self.{name}" in inspect.getsource(Connection.__init__)


def test_its_life_cycle_needs_nothing_else() -> None:
    """What the methods that we inherit read from self is set by our constructor or by StreamReaderProtocol's."""
    source = "".join(inspect.getsource(getattr(SMTP, name)) for name in USED)
    for name in ("_handle_hooks", "_auth_methods", "_call_limit_base"):
        used_only_by_starttls = name == "_handle_hooks"
        assert used_only_by_starttls or name not in source


def test_no_command_of_its_is_reachable() -> None:
    """Only our own table is asked, so that its address parser and its DATA are never run."""
    ours = {function.__module__ for function in Dialog.VERBS.values()}
    assert ours == {"smtpgate.smtp.dialog"}


def test_the_streams_can_move_to_tls() -> None:
    """What asyncio.StreamWriter.start_tls and StreamReaderProtocol set, and we with them."""
    assert "self._transport = " in inspect.getsource(asyncio.StreamWriter.start_tls)
    assert "self._over_ssl" in inspect.getsource(asyncio.StreamReaderProtocol.eof_received)
    reader = inspect.getsource(asyncio.StreamReader.feed_data)
    assert "self._transport.pause_reading()" in reader
    assert "self._paused = True" in reader


def test_the_stream_reader_has_its_buffer() -> None:
    reader = asyncio.StreamReader(loop=asyncio.new_event_loop())
    try:
        assert isinstance(reader._buffer, bytearray)  # type: ignore[attr-defined]
    finally:
        reader._loop.close()  # type: ignore[attr-defined]
