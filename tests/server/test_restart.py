"""What a reload refuses to do by half."""

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.settings import Settings
from smtpgate.server.restart import RestartNeeded, check_reload


def settings(server: str) -> Settings:
    rest = '[[listener]]\naddress = "127.0.0.1:2525"\n[relay]\nurl = "maildir:mail"\n'
    return load(f'[server]\n{server}\n{rest}[phases]\nrcpt = ["reject_unauth_destination"]\n', REGISTRY)


def test_what_takes_a_restart() -> None:
    with pytest.raises(RestartNeeded) as caught:
        check_reload(settings('control = "a.sock"'), settings('user = "root"\ncontrol = "b.sock"'))
    assert str(caught.value).splitlines() == [
        '[server] user: "" became "root", which takes a restart',
        '[server] control: "a.sock" became "b.sock", which takes a restart',
    ]


def test_what_does_not() -> None:
    check_reload(
        settings('control = "a.sock"'), settings('control = "a.sock"\nworkers = 3\nhostname = "mx.example.net"')
    )
