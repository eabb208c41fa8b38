"""`smtpgate db upgrade`, as the administrator runs it."""

from pathlib import Path

import pytest

from smtpgate.cli import main

CONFIG = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "smtp://127.0.0.1:10025"
[store]
url = "sqlite:///var/smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""


@pytest.fixture(autouse=True)
def _in_a_directory_with_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(CONFIG)


def test_creates_it_says_so_and_works_again_at_once(tmp_path, capfd):
    path = tmp_path / "var" / "smtpgate.db"
    assert main(["db", "upgrade"]) == 0
    assert capfd.readouterr() == (f"smtpgate: database {path} created (0004)\n", "")
    assert main(["db", "upgrade"]) == 0
    assert capfd.readouterr() == (f"smtpgate: database {path} is already up to date (0004)\n", "")


def test_trouble_is_one_line_and_status_1(tmp_path, capfd):
    Path("var").write_text("no directory")
    assert main(["db", "upgrade"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"smtpgate: {tmp_path}/var/smtpgate.db: ")
    assert err.count("\n") == 1


def test_a_wrong_configuration_is_status_1(capfd):
    Path("config.toml").write_text("[store]\nurl = 5\n")
    with pytest.raises(SystemExit) as exited:
        main(["db", "upgrade"])
    assert exited.value.code == 1
    assert "config.toml:2: [store] url" in capfd.readouterr().err
    assert not Path("var").exists()
