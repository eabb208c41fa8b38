"""`smtpgate table`: the access tables of the store."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from smtpgate.cli import main
from smtpgate.store.entries import REMEMBERED, RememberedTables
from smtpgate.store.sqlite import open_store
from tests.fakes import Clock

CONFIG = """
[server]
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:mail"
[store]
url = "sqlite:///{path}"
[classes]
strict = ["reject_non_fqdn_sender"]
[phases]
mail = ["check_sender_access store:friends", "check_sender_mx_access store:servers"]
rcpt = ["reject_unauth_destination"]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG.format(path=tmp_path / "store.db"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_written_is_found_again(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "friends", "set", "A@Bücher.example", "REJECT", "go", "away"]) == 0
    assert main(["table", "friends", "set", "example.net", "strict"]) == 0
    assert main(["table", "friends", "set", "example.net", "OK"]) == 0
    assert main(["table", "friends", "list"]) == 0
    assert capsys.readouterr().out == "a@xn--bcher-kva.example\tREJECT go away\nexample.net\tOK\n"
    assert main(["table", "friends", "get", "EXAMPLE.net"]) == 0
    assert capsys.readouterr().out == "OK\n"
    assert main(["table", "friends", "delete", "example.net"]) == 0
    assert main(["table", "friends", "get", "example.net"]) == 1
    assert main(["table", "servers", "list"]) == 0


def test_an_empty_table_and_one_that_nobody_asks(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "friend", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "smtpgate: friend has no entries\nsmtpgate: no rule asks store:friend; rules ask store:friends, store:servers\n"
    )


def test_a_table_can_be_written_before_a_rule_asks_it(config: Path) -> None:
    for result in ("REJECT no", "strict", "reject_unknown_client, permit", "warn_if_reject reject"):
        assert main(["table", "new", "set", "a", result]) == 0


def test_a_store_that_this_user_may_only_read(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["table", "friends", "list"]) == 0
    connect = sqlite3.connect
    monkeypatch.setattr(
        "smtpgate.store.edit.sqlite3.connect", lambda path, **how: connect(f"file:{path}?mode=ro", uri=True, **how)
    )
    assert main(["table", "friends", "set", "a", "OK"]) == 1
    assert "attempt to write a readonly database" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["friends", "set", "a", "REJCT"], "neither an action nor a rule nor a class"),
        (["friends", "set", "a", "FILTER", "x:y"], "mail queue"),
        (["servers", "set", "a", "OK"], "OK is not allowed"),
        (["nobody", "set", "a", "PREPEND x"], "no rule asks store:nobody"),
        (
            ["nobody", "set", "a", "REJCT"],
            '"REJCT" is neither an action nor a rule nor a class: did you mean "reject"?',
        ),
        (["friends", "set", " ", "OK"], "the key is empty"),
        (["friends", "get", "a"], "a is not in friends"),
        (["friends", "delete", "a"], "a is not in friends"),
        (["no/name", "list"], "no name of a table"),
    ],
)
def test_what_cannot_be_done(arguments: list[str], said: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        (
            "friends",
            "@Example.net",
            '"@example.net" is never found by check_sender_access: a domain is written here without @: '
            'write "example.net"',
        ),
        (
            "friends",
            "192.0.2.1",
            '"192.0.2.1" is never found by check_sender_access: it is an address, and names alone are looked up',
        ),
        (
            "servers",
            "192.0.2.0/24",
            '"192.0.2.0/24" is never found by check_sender_mx_access: a network is written here as what its addresses '
            'begin with: write "192.0.2", or put it into a "cidr:" file',
        ),
        ("servers", "192.0.2", ""),
        ("friends", "<>", ""),
        ("new", "@example.net", "no rule asks store:new; rules ask store:friends, store:servers"),
    ],
)
def test_a_key_that_is_never_looked_up_is_written_and_told_about(
    table: str, key: str, said: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", table, "set", key, "REJECT"]) == 0
    assert capsys.readouterr().err == (said and f"smtpgate: {said}\n")
    assert main(["table", table, "get", key]) == 0


def test_a_key_may_be_for_another_rule_that_asks_the_same_table(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a class, which another table names."""
    text = CONFIG.format(path=config / "store.db").replace(
        'strict = ["', 'strict = ["check_client_access store:friends", "'
    )
    (config / "config.toml").write_text(
        text.replace(
            '"reject_unauth_destination"]', '"reject_unauth_destination", "check_recipient_access static:strict"]'
        )
    )
    assert main(["table", "friends", "set", "192.0.2.1", "REJECT"]) == 0
    assert capsys.readouterr().err == ""


def test_a_running_server_sees_a_change_soon(config: Path) -> None:
    async def look() -> list[dict[str, str]]:
        store, clock = open_store(f"sqlite:///{config / 'store.db'}"), Clock()
        tables = RememberedTables(store, clock)
        seen = [dict(await tables.entries("friends", ["a", "b", "c"]))]
        await asyncio.to_thread(main, ["table", "friends", "set", "b", "OK"])
        seen.append(dict(await tables.entries("friends", ["a", "b", "c"])))
        clock.advance(REMEMBERED)
        seen.append(dict(await tables.entries("friends", ["a", "b", "c"])))
        await store.close()
        return seen

    main(["table", "friends", "set", "a", "DUNNO"])
    assert asyncio.run(look()) == [{"a": "DUNNO"}, {"a": "DUNNO"}, {"a": "DUNNO", "b": "OK"}]
