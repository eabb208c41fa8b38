"""`smtpgate config check` and `smtpgate config show`, as the administrator runs them."""

import shutil
import tomllib
from pathlib import Path

import pytest

from smtpgate.cli import main
from smtpgate.values import system_name
from tests.certificates import Certificate, issue

SHIPPED = Path(__file__).parents[2] / "config.toml"


@pytest.fixture(autouse=True)
def _with_the_shipped_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SHIPPED, "config.toml")


def smtpgate(*arguments: str) -> int:
    return main(arguments)


def test_check_of_a_right_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert smtpgate("config", "check") == 0
    out, err = capsys.readouterr()
    line = SHIPPED.read_text().partition('"reject_unauth_destination",')[0].count("\n") + 1
    assert out == (
        "config.toml is right: 19 rules in 6 phases, 10 in shadow mode\n"
        f"no stranger can relay: all are stopped by reject_unauth_destination in line {line}\n"
    )
    assert err == ""


def test_check_warns_and_is_content(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.toml").write_text(SHIPPED.read_text().replace('["example.org"]', "[]"))
    line = SHIPPED.read_text().partition("relay_domains =")[0].count("\n") + 1
    assert smtpgate("config", "check", "--config", "other.toml") == 0
    out, err = capsys.readouterr()
    assert out.startswith("other.toml is right: ")
    assert err == f"warning: other.toml:{line}: [server] relay_domains: empty: no mail is accepted\n"


@pytest.mark.parametrize("action", ["check", "show"])
def test_every_error_is_printed_and_the_status_is_1(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SHIPPED.read_text().replace("reject_unauth_pipelining", "reject_unauth_pipeline").replace("5m", "5x")
    Path("config.toml").write_text(wrong)
    with pytest.raises(SystemExit) as exited:
        smtpgate("config", action)
    assert exited.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert err.splitlines()[1].endswith('did you mean "reject_unauth_pipelining"?')


def with_tls(directory: Path) -> Certificate:
    """The shipped configuration with TLS on its listener."""
    text = SHIPPED.read_text().replace(':2525"', ':2525"\ntls = "starttls"')
    Path("config.toml").write_text(text + '\n[tls]\ncertificate = "certificate.pem"\nkey = "key.pem"\n')
    return issue(directory)


def test_check_reads_the_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_tls(tmp_path)
    assert smtpgate("config", "check") == 0
    assert capsys.readouterr().out.startswith("config.toml is right: ")


@pytest.mark.parametrize("option", ["certificate", "key"])
def test_a_file_of_tls_that_is_missing(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    getattr(with_tls(tmp_path), option).unlink()
    line = Path("config.toml").read_text().partition(f"\n{option} = ")[0].count("\n") + 2
    with pytest.raises(SystemExit) as exited:
        smtpgate("config", "check")
    assert exited.value.code == 1
    said = f'config.toml:{line}: [tls] {option}: "{option}.pem": there is no such file\n'
    assert capsys.readouterr().err == said
    assert smtpgate("config", "show") == 0  # who asks this need not be allowed to read a key


def test_all_files_of_tls_that_are_missing_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = with_tls(tmp_path)
    pair.certificate.unlink()
    pair.key.unlink()
    with pytest.raises(SystemExit):
        smtpgate("config", "check")
    assert capsys.readouterr().err.count("there is no such file\n") == 2


def test_show_prints_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert smtpgate("config", "show") == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["relay"]["url"] == "maildir:var/mail"
    assert (shown["relay"]["connect_timeout"], shown["relay"]["tls"]) == ("10s", "none")
    assert shown["limits"]["message_size"] == "25MiB"
    assert shown["server"]["hostname"] == system_name()
    assert {"rule": "greylist", "delay": "5m", "window": "2d", "mode": "shadow"}.items() <= shown["phases"]["rcpt"][
        -1
    ].items()
