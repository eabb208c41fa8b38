"""`smtpgate quarantine`: a person looks, and decides."""

from pathlib import Path

import pytest

from smtpgate.cli import main, parser
from smtpgate.cli import quarantine as command
from smtpgate.quarantine import Quarantine
from smtpgate.relay.downstream import Envelope, RcptParameters, RelayReply
from smtpgate.smtp.message_actions import held_envelope
from tests.fakes import FakeDownstream

CONFIG = """
[server]
relay_domains = ["example.org"]
quarantine = "held"
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:mail"
[phases]
rcpt = ["reject_unauth_destination"]
"""
MESSAGE = b"Subject: \x1b[31mx\r\n\r\nbody\r\n"
NAME = "1000-7QK2M9XA"


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quarantine:
    (tmp_path / "config.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    quarantine = Quarantine("held")
    recipients = [("a@example.org", RcptParameters("NEVER")), ("b@example.org", RcptParameters())]
    envelope = held_envelope(Envelope("me@example.net", client={"ADDR": "192.0.2.1"}), recipients)
    quarantine.keep(NAME, {**envelope, "ref": "7QK2M9XA", "at": 1000.0, "reason": "odd"}, [MESSAGE])
    return quarantine


@pytest.fixture
def downstream(monkeypatch: pytest.MonkeyPatch) -> FakeDownstream:
    fake = FakeDownstream()
    monkeypatch.setattr(command, "configured_downstream", lambda settings: fake)
    return fake


def test_list_and_show(held: Quarantine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith(
        f"{NAME}  1970-01-01 00:16:40 UTC  ref 7QK2M9XA  from <me@example.net>  to a@example.org, b@"
    )
    assert listed.endswith("\n1 held, 0.0 MiB of 1024.0 MiB; deleted after 90d 0h\n")
    assert main(["quarantine", "show", NAME]) == 0
    assert "Subject: ?[31mx\n\nbody\n" in capsys.readouterr().out


def test_where_nothing_was_ever_held(
    held: Quarantine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are relative: in another directory than the server's the list is empty, and must not look right."""
    elsewhere = Path("elsewhere").absolute()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["quarantine", "list", "--config", "../config.toml"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("0 held")
    assert err == f"smtpgate: nothing was ever held in {elsewhere}/held\n"


def test_a_reader_that_goes_away_is_no_trouble_of_the_quarantines(
    held: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `smtpgate quarantine list | head -1`; main() knows what to do."""

    def write(*anything: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", write)
    with pytest.raises(BrokenPipeError):
        command.run(parser().parse_args(["quarantine", "list"]))


def test_released(held: Quarantine, downstream: FakeDownstream) -> None:
    assert main(["quarantine", "release", NAME]) == 0
    assert [(message.recipients, message.content) for message in downstream.messages] == [
        (("a@example.org",), MESSAGE), (("b@example.org",), MESSAGE),
    ]  # fmt: skip
    assert downstream.messages[0].envelope == Envelope("me@example.net", client={"ADDR": "192.0.2.1"})
    assert downstream.messages[0].parameters == (RcptParameters("NEVER"),)
    assert held.names() == []


def test_who_does_not_take_it_is_asked_again_alone(held: Quarantine, downstream: FakeDownstream) -> None:
    downstream.recipient["b@example.org"] = RelayReply(450, "4.2.0", "later")
    assert main(["quarantine", "release", NAME]) == 1
    assert held.names() == [NAME]
    downstream.recipient.clear()
    assert main(["quarantine", "release", NAME]) == 0
    assert [message.recipients for message in downstream.messages] == [("a@example.org",), ("b@example.org",)]
    assert held.names() == []


def test_into_a_real_maildir(held: Quarantine, tmp_path: Path) -> None:
    assert main(["quarantine", "release", NAME]) == 0
    delivered = [path.read_bytes() for path in (tmp_path / "mail").rglob("new/*")]
    assert len(delivered) == 2
    assert all(MESSAGE.replace(b"\r\n", b"\n") in content.replace(b"\r\n", b"\n") for content in delivered)


def test_deleted(held: Quarantine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "delete", NAME]) == 0
    assert held.names() == []
    assert main(["quarantine", "delete", NAME]) == 1
    assert main(["quarantine", "show", "../../etc/passwd"]) == 1
    assert "is no name" in capsys.readouterr().err


def test_one_that_cannot_be_read_hides_no_others(
    held: Quarantine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "held" / "0-BROKEN.held").write_text("no JSON\n")
    with held.taken(NAME):
        assert main(["quarantine", "list"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("0-BROKEN  (0-BROKEN cannot be read: ")
    assert second == f"{NAME}  (somebody else has {NAME} in hand)"
    assert last.startswith("2 held, ")
