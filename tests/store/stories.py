"""Requests to a store on SQLite, and what is in its file."""

import asyncio
import sqlite3
import threading

from smtpgate.record import Record
from smtpgate.store.greylist import Triplet
from smtpgate.store.record_row import row_of

ALICE = Triplet("192.0.2.0/24", "alice@example.com", "bob@example.org")
OPTIONS = {"delay": 300.0, "window": 172_800.0, "lifetime": 3_024_000.0}


def row(ref="7QK2M9XA", at=1000.0, **facts):
    record = Record(at, facts.pop("client", "192.0.2.7"), "127.0.0.1:25", ref=ref)
    for name, value in facts.items():
        setattr(record, name, value)
    return row_of(record)


def held(store):
    """Hold the writer thread inside a request; returns when it is there, and the event that lets it go on."""
    there, go_on = threading.Event(), threading.Event()

    def hold(connection):
        there.set()
        assert go_on.wait(10)

    request = store._request(hold)
    assert there.wait(10)
    return request, go_on


async def begun(*coroutines):
    """Tasks that have run as far as their first wait: their requests are queued, in this order."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    return tasks


def rows(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
