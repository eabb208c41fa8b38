"""What [relay] and [[route]] say, and what becomes of it."""

from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.settings import Settings
from smtpgate.config.toml import dump
from smtpgate.relay.routing import RoutingDownstream
from smtpgate.relay.url import parse_url
from smtpgate.server.downstream import configured_downstream
from tests.certificates import issue

REST = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:2525"
[phases]
rcpt = ["reject_unauth_destination"]
"""


def loaded(text: str) -> Settings:
    return load(text + REST, REGISTRY)


def test_one_downstream_or_several() -> None:
    assert loaded('[relay]\nurl = "smtp://a"').relay.url == (parse_url("smtp://a:25"),)
    several = loaded('[relay]\nurl = ["lmtp+unix:/l", "lmtp://b"]').relay.url
    assert several == (parse_url("lmtp+unix:/l"), parse_url("lmtp://b:24"))


@pytest.mark.parametrize("line_end", ["", "\n"])
def test_a_password_is_read_and_not_shown(line_end: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pässword" + line_end)
    relay = f'[relay]\nurl = "smtps://a"\nusername = "gate"\npassword_file = "{tmp_path}/password"'
    settings = loaded(relay)
    assert settings.relay.password_file is not None
    assert settings.relay.password_file.text == "pässword"
    assert "pässword" not in repr(settings) + dump(settings.effective)
    assert f'password_file = "{tmp_path}/password"' in dump(settings.effective)
    assert load(dump(settings.effective), REGISTRY).relay == settings.relay


@pytest.mark.parametrize("url", ["smtp://127.0.0.1", "smtp://localhost", "lmtp+unix:/l", "smtps://192.0.2.1"])
def test_where_a_password_may_go_without_starttls(url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    loaded(f'[relay]\nurl = "{url}"\nusername = "gate"\npassword_file = "{tmp_path}/password"')


def test_a_server_for_each_url_and_a_way_for_each_domain(tmp_path: Path) -> None:
    ca = issue(tmp_path, "a.example").certificate
    settings = loaded(
        f'[relay]\nurl = ["smtp://a", "smtps://b"]\ntls = "starttls"\ntls_ca = "{ca}"\nconnections = 7\n'
        '[[route]]\nurl = "maildir:m"\ndomains = ["Bücher.example", ".b.example"]\n'
        '[[route]]\nurl = "lmtp+unix:/l"\ndomains = ["c.example"]\n'
    )
    assert [route.domains for route in settings.routes] == [("xn--bcher-kva.example", ".b.example"), ("c.example",)]
    downstream = configured_downstream(settings)
    assert isinstance(downstream, RoutingDownstream)
    names = [health.name for health in downstream.health()]
    assert names == ["smtp://a:25", "smtps://b:465", "maildir:m", "lmtp+unix:/l"]
    assert downstream.route("x@y.b.example") is downstream.route("x@bücher.example")
    assert downstream.route("x@c.example") is not downstream.route("x@elsewhere.example")
