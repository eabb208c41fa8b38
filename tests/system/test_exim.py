"""A real Exim behind the gate, which gets mail in verified TLS only, after a login, and by BDAT."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import issue
from tests.system.exim import Exim
from tests.system.gate import Gate
from tests.system.messages import EIGHT_BIT, body, ref

SENDER = "me@example.com"
CONFIG = """
[server]
hostname = "mx.example.org"
relay_domains = ["example.org"]
workers = 1
[[listener]]
address = "127.0.0.1:{port}"
[relay]
url = "{relay}"
tls = "starttls"
tls_ca = "CA"
username = "gate"
password_file = "password"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""


@pytest.fixture(scope="module")
def exim(open_dir: Path) -> Iterator[Exim]:
    """A running Exim."""
    server = Exim(open_dir).start()
    yield server
    server.stop()


def served(serve: Callable[..., Gate], exim: Exim, tmp_path: Path, ca: Path, password: str) -> Gate:
    """A gate that trusts this certificate and logs in with this password."""
    (tmp_path / "password").write_text(f"{password}\n")
    config = CONFIG.replace("CA", str(ca)).replace('"password"', f'"{tmp_path}/password"')
    return serve(exim.url, config=config)


def test_mail_goes_in_tls_and_by_bdat(serve: Callable[..., Gate], exim: Exim, tmp_path: Path) -> None:
    gate = served(serve, exim, tmp_path, exim.certificate.certificate, exim.login[1])
    large = b"Subject: large\r\n\r\n" + b".123456789\r\n" * 200_000
    with gate.client() as client:
        client.ehlo()
        for content in (EIGHT_BIT, large):
            client.mail(SENDER, ["BODY=8BITMIME"])
            assert client.rcpt("nobody@example.org")[0] == 550
            assert client.rcpt("you@example.org")[0] == 250
            code, text = client.data(content)
            assert code == 250, text
            assert exim.body(text) == body(content)
    arrived = [line for line in exim.log.splitlines() if " <= " in line]
    assert len(arrived) == 2
    for line in arrived:
        assert " X=TLS1." in line
        assert " A=plain " in line
        assert " K " in line  # by BDAT


@pytest.mark.parametrize("wrong", ["certificate", "password"])
def test_nothing_goes_without_them(wrong: str, serve: Callable[..., Gate], exim: Exim, tmp_path: Path) -> None:
    ca = issue(tmp_path, "127.0.0.1") if wrong == "certificate" else exim.certificate
    gate = served(serve, exim, tmp_path, ca.certificate, "guess" if wrong == "password" else exim.login[1])
    with gate.client() as client:
        client.ehlo()
        client.mail(SENDER)
        code, text = client.rcpt("you@example.org")
    assert (code, text[:6]) == (451, b"4.4.1 ")
    gate.logged(ref(text))
    why = gate.command("why", ref(text)).stdout
    reason = "downstream refuses our login: 535" if wrong == "password" else "no TLS with smtp://127.0.0.1"
    assert reason in why
    shown = gate.command("config", "show").stdout
    assert "pa55word" not in why + shown + gate.program.printed + (gate.directory / "config.toml").read_text()
