"""Counts that workers share: added up over all of them, bounded, and right again after one was killed."""

import os
import signal

from hypothesis import given
from hypothesis import strategies as st

from smtpgate.smtp.client_table import MESSAGES, RECIPIENTS, ClientCounts, ClientTable
from tests.fakes import Clock


def workers(table: ClientTable, clock: Clock) -> list[ClientCounts]:
    """As many as there are free columns."""
    found = []
    while (column := table.take()) is not None:
        found.append(table.counts(column, clock))
    return found


def test_what_all_workers_counted_is_added_up() -> None:
    one, two, three = workers(ClientTable(3), Clock())
    assert one.open(b"a") == (1, 1)
    assert two.open(b"a") == (2, 2)
    assert three.open(b"b") == (1, 1)
    one.close(b"a")
    assert three.open(b"a") == (2, 3)
    assert [two.add(b"a", MESSAGES), three.add(b"a", MESSAGES), one.add(b"a", RECIPIENTS)] == [1, 2, 1]


def test_the_lowest_free_column_is_taken() -> None:
    table = ClientTable(3)
    assert [table.take() for _ in range(4)] == [0, 1, 2, None]
    table.give_back(2)
    table.give_back(0)
    assert [table.take() for _ in range(3)] == [0, 2, None]


def test_rates_begin_anew_each_minute() -> None:
    clock = Clock(600.0)
    one, two = workers(ClientTable(2), clock)
    one.open(b"a")
    assert two.add(b"a", MESSAGES) == 1
    clock.advance(59.9)
    assert two.open(b"a") == (2, 2)
    assert one.add(b"a", MESSAGES) == 2
    clock.advance(0.1)
    assert one.open(b"a") == (3, 1)
    assert two.add(b"a", MESSAGES) == 1


def test_an_emptied_column_counts_no_more() -> None:
    table, clock = ClientTable(2), Clock()
    dead, alive = workers(table, clock)
    for _ in range(50):
        dead.open(b"a")
    assert alive.open(b"a") == (51, 51)
    table.give_back(0)
    assert alive.open(b"a") == (2, 2)
    [again] = workers(table, clock)
    again.close(b"a")  # of a connection that nobody counted: no underflow
    assert again.open(b"a") == (3, 3)


def test_where_too_many_meet_the_last_is_not_counted() -> None:
    """With one bucket of four places the fifth network finds none; it is let in."""
    clock = Clock()
    [counts] = workers(ClientTable(1, buckets=1), clock)
    for name in (b"a", b"b", b"c", b"d"):
        assert counts.open(name) == (1, 1)
    assert counts.open(b"e") == (0, 0)
    counts.close(b"e")
    assert counts.open(b"a") == (2, 2)
    counts.close(b"b")
    assert counts.open(b"e") == (0, 0)  # what b did in this minute still counts
    clock.advance(60)
    assert counts.open(b"e") == (1, 1)


def test_a_worker_that_is_killed_leaves_nothing_locked() -> None:
    table = ClientTable(2)
    first, second = workers(table, Clock())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for _ in range(7):
            second.open(b"a")
        os.write(writing, b"x")
        for _ in range(10_000_000):  # until it is killed
            second.open(b"b")
            second.close(b"b")
        os._exit(0)
    try:
        os.read(reading, 1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    assert first.open(b"a") == (8, 8)
    table.give_back(1)
    assert first.open(b"a") == (2, 2)


@given(st.lists(st.tuples(st.sampled_from(["open", "close", "minute"]), st.integers(0, 2), st.sampled_from("abc"))))
def test_it_counts_as_a_dictionary_would(steps: list[tuple[str, int, str]]) -> None:
    clock = Clock(600.0)
    columns = workers(ClientTable(3, buckets=1), clock)
    opened = [dict.fromkeys("abc", 0) for _ in range(3)]
    fresh = dict.fromkeys("abc", 0)
    for step, column, name in steps:
        if step == "minute":
            clock.advance(60)
            fresh = dict.fromkeys("abc", 0)
        elif step == "open":
            opened[column][name] += 1
            fresh[name] += 1
            assert columns[column].open(name.encode()) == (sum(each[name] for each in opened), fresh[name])
        else:
            columns[column].close(name.encode())
            opened[column][name] = max(0, opened[column][name] - 1)
