"""`upgrade` and the migrations behind it."""

import fcntl
import os
import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from smtpgate.record import Record
from smtpgate.store import migrate
from smtpgate.store.greylist import Seen, StoreError, Triplet
from smtpgate.store.lookup import by_address
from smtpgate.store.migrate import upgrade
from smtpgate.store.record_row import row_of
from smtpgate.store.schema import metadata
from smtpgate.store.sqlite import open_store
from smtpgate.store.url import database_path


def tables(path):
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return names


def test_the_migrations_lead_to_the_schema(tmp_path):
    upgrade(f"sqlite:///{tmp_path}/smtpgate.db")
    engine = create_engine(f"sqlite:///{tmp_path}/smtpgate.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_creates_directory_and_database_then_has_nothing_to_do(tmp_path):
    path = tmp_path / "new" / "50%" / "smtpgate.db"
    assert upgrade(f"sqlite:///{path}") == f"{path} created (0004)"
    assert upgrade(f"sqlite:///{path}") == f"{path} is already up to date (0004)"
    assert tables(path) == {*metadata.tables, "alembic_version"}


def test_the_database_is_not_for_everybody(tmp_path):
    upgrade(f"sqlite:///{tmp_path}/smtpgate.db")
    assert (tmp_path / "smtpgate.db").stat().st_mode & 0o007 == 0


def test_several_may_create_it_at_once(tmp_path):
    done = []
    threads = [threading.Thread(target=lambda: done.append(upgrade(f"sqlite:///{tmp_path}/x.db"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("created" in what for what in done) == [False, False, False, True]


def test_who_creates_it_keeps_the_others_out(tmp_path, monkeypatch):
    create = migrate._create

    def create_alone(path):
        directory = os.open(path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(directory)
        create(path)

    monkeypatch.setattr(migrate, "_create", create_alone)
    assert "created" in upgrade(f"sqlite:///{tmp_path}/smtpgate.db")


def test_a_database_of_a_later_version_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/smtpgate.db"
    upgrade(url)
    with sqlite3.connect(tmp_path / "smtpgate.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="another version"):
        upgrade(url)


@pytest.mark.parametrize("name", ["file/smtpgate.db", "directory", "garbage"])
def test_trouble_is_store_error_and_names_the_path(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "garbage").write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match=str(tmp_path / name)):
        upgrade(f"sqlite:///{tmp_path / name}")


def test_a_locked_database_is_waited_for_and_then_given_up(tmp_path):
    url = f"sqlite:///{tmp_path}/smtpgate.db"
    upgrade(url)
    other = sqlite3.connect(tmp_path / "smtpgate.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        upgrade(url, busy_timeout=0.01)
    other.close()


def test_a_relative_url_stays_where_it_was_first_resolved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = database_path("sqlite:///var/smtpgate.db")
    monkeypatch.chdir("/")
    assert path == tmp_path / "var" / "smtpgate.db"


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://db/smtpgate", "x.db"]
)
def test_a_url_without_a_file_is_refused(url):
    with pytest.raises(ValueError, match="a path to a file"):
        database_path(url)


# What the first version had made, as sqlite_master tells it.
FIRST_VERSION = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
CREATE TABLE greylist (client TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, first_seen DOUBLE NOT NULL,
    last_seen DOUBLE NOT NULL, passes INTEGER NOT NULL, expires DOUBLE NOT NULL,
    PRIMARY KEY (client, sender, recipient)) WITHOUT ROWID;
CREATE INDEX greylist_expires ON greylist (expires);
CREATE TABLE record (id INTEGER NOT NULL, ref TEXT NOT NULL, at DOUBLE NOT NULL, client TEXT NOT NULL, helo TEXT,
    sender TEXT, outcome TEXT NOT NULL, story TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX record_ref ON record (ref);
CREATE INDEX record_at ON record (at);
CREATE TABLE record_address (record_id INTEGER NOT NULL, address TEXT NOT NULL,
    PRIMARY KEY (record_id, address)) WITHOUT ROWID;
CREATE INDEX record_address_address ON record_address (address, record_id);
INSERT INTO alembic_version VALUES ('0001');
INSERT INTO greylist VALUES ('192.0.2.0/24', 'a@example.net', 'b@example.org', 1000.0, 1000.0, 0, 2000.0);
INSERT INTO record VALUES (1, '7QK2M9XA', 1000.0, '192.0.2.1', 'x', 'a@example.net', 'accepted',
    '{"ref": "7QK2M9XA", "rules": [{"phase": "rcpt", "rule": "permit"}], "replies": [], "relay": []}');
INSERT INTO record_address VALUES (1, 'b@example.org');
"""


async def test_a_database_of_the_first_version_goes_on_with_what_it_knows(tmp_path):
    path = tmp_path / "smtpgate.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST_VERSION)
    connection.close()
    assert upgrade(f"sqlite:///{path}") == f"{path} upgraded from 0001 to 0004"
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    store = open_store(f"sqlite:///{path}")
    triplet = Triplet("192.0.2.0/24", "a@example.net", "b@example.org")
    assert await store.greylist(triplet, 1500.0, delay=300, window=1000, lifetime=10_000) == Seen(1000.0, 1)
    await store.remember("digest", ["b@example.org"], 1500.0)
    assert await store.delivered("digest") == {"b@example.org"}
    await store.write_records([row_of(Record(1500.0, "192.0.2.1", "127.0.0.1:25", ref="8QK2M9XA"))])
    await store.close()
    (first,) = by_address(path, "b@example.org", 9)
    assert (first["ref"], first["rules"]) == ("7QK2M9XA", [{"phase": "rcpt", "rule": "permit"}])
    assert [story["ref"] for story in by_address(path, "192.0.2.1", 9)] == ["8QK2M9XA"]
