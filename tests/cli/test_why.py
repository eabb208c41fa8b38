"""`smtpgate why`: what a support person asks, and which records are found."""

import asyncio
import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smtpgate.cli import main
from smtpgate.cli.why import address, reference
from smtpgate.record import story
from smtpgate.store.migrate import upgrade
from smtpgate.store.record_row import row_of
from smtpgate.store.sqlite import SqliteStore
from tests.cli.records import GOLDEN, NO_HOSTNAME, accepted, refused

CONFIG = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "smtp://127.0.0.1:10025"
[store]
url = "sqlite:///smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""


@pytest.fixture(autouse=True)
def _with_two_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(CONFIG)

    async def write():
        store = SqliteStore(tmp_path / "smtpgate.db")
        await store.write_records([row_of(refused()), row_of(accepted())])
        await store.close()

    asyncio.run(write())


@pytest.mark.parametrize(
    "asked",
    ["7QK2M9XA", "7qk2m9xa", " 7QK2M9XA ", "(ref 7QK2M9XA)", "ref 7QK2M9XA", f"{NO_HOSTNAME} (ref 7QK2M9XA)",
     "550-5.1.1 no\n550 5.1.1 sorry (ref 7QK2M9XA)\n"],
)  # fmt: skip
def test_a_reference_is_found_as_it_is_pasted(asked):
    assert reference(asked) == "7QK2M9XA"


def test_letters_that_no_reference_has_are_the_digits_they_look_like():
    assert reference("Oil2m9xa") == "0112M9XA"


@pytest.mark.parametrize(
    "asked", ["bob@example.org", "192.0.2.7", "2001:db8::1", "7QK2M9X", "7QK2M9XA1", "preference", ""]
)
def test_what_is_no_reference(asked):
    assert reference(asked) is None


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("<bob@example.org>", "bob@example.org"), ("[192.0.2.7]", "192.0.2.7"), ("[IPv6:2001:DB8:0::1]", "2001:db8::1")],
)
def test_an_address_without_its_brackets(asked, meant):
    assert address(asked) == meant


@pytest.mark.parametrize(
    "asked", [["7qk2m9xa"], ["550", "5.1.1", "no", "(ref", "7QK2M9XA)"], ["ALICE@example.com"], ["192.0.2.7"]]
)
def test_why_prints_the_story(asked, capsys):
    assert main(["why", *asked]) == 0
    assert capsys.readouterr() == (GOLDEN + "\n", "")


def test_the_newest_comes_first_up_to_the_limit(capsys):
    assert main(["why", "bob@example.org"]) == 0
    out = capsys.readouterr().out
    assert 0 < out.index("Reference 0000000A") + 1 < out.index("Reference 7QK2M9XA")
    assert main(["why", "bob@example.org", "--limit", "1"]) == 0
    assert "7QK2M9XA" not in capsys.readouterr().out


def test_json_is_the_whole_record_a_line_each(capsys):
    assert main(["why", "--json", "bob@example.org"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [story(accepted().text()), story(refused().text())]


@pytest.mark.parametrize(
    ("asked", "advice"),
    [("ZZZZZZZZ", "no record with the reference ZZZZZZZZ"), ("dave@example.org", "no record of dave@example.org")],
)
def test_what_is_unknown_says_what_to_do_next(asked, advice, capsys):
    assert main(["why", asked]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"smtpgate: {advice}.\n")
    assert "IP address" in err


def test_without_a_database(tmp_path, capsys):
    Path("smtpgate.db").unlink()
    assert main(["why", "7QK2M9XA"]) == 1
    assert capsys.readouterr().err == f"smtpgate: no database at {tmp_path}/smtpgate.db; run `smtpgate db upgrade`\n"
    assert not Path("smtpgate.db").exists()


@pytest.mark.parametrize("others", ["no server runs", "a server has just begun", "a server writes"])
def test_who_may_only_read_may_ask(others, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: path == tmp_path and mode != os.W_OK)
    with closing(sqlite3.connect("smtpgate.db")) as server:
        if others != "no server runs":
            server.execute("SELECT * FROM record").fetchall()
        if others == "a server writes":
            server.execute("UPDATE record SET ref = '0000000B' WHERE ref = '0000000A'")
            server.commit()
        there = sorted(tmp_path.iterdir())
        assert main(["why", "0000000B" if others == "a server writes" else "0000000A"]) == 0
        assert sorted(tmp_path.iterdir()) == there  # nothing was made to read it


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "run `smtpgate db upgrade`"), (b"garbage " * 1000, "file is not a database: ")]
)
def test_with_a_file_that_is_no_database(content, said, capsys):
    Path("smtpgate.db").write_bytes(content)
    assert main(["why", "7QK2M9XA"]) == 1
    assert said in capsys.readouterr().err


def test_with_a_directory_that_this_user_may_not_enter(capsys, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("smtpgate.store.lookup.os.stat", refused)
    assert main(["why", "7QK2M9XA"]) == 1
    assert "smtpgate.db: Permission denied" in capsys.readouterr().err


def test_an_empty_database_has_no_records(tmp_path, capsys):
    Path("smtpgate.db").unlink()
    upgrade(f"sqlite:///{tmp_path}/smtpgate.db")
    assert main(["why", "7QK2M9XA"]) == 1
    assert "no record with" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_below_one_is_refused(limit, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["why", "7QK2M9XA", f"--limit={limit}"])
    assert exited.value.code == 2
    assert "--limit" in capsys.readouterr().err
