"""Several processes write lines into one pipe: each line stays whole."""

import os

import pytest

from smtpgate.server.line_output import LineOutput

LONG = 20_000  # beyond PIPE_BUF, so that the kernel alone would mix them


def test_lines_of_several_processes_stay_whole() -> None:
    reading, writing = os.pipe()
    output = LineOutput(writing)
    children = []
    for letter in "abcd":
        pid = os.fork()
        if pid == 0:
            for _ in range(25):
                output.write("\n".join([letter * LONG, letter]))
            os._exit(0)
        children.append(pid)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert sorted(lines) == sorted([letter * length for letter in "abcd" for length in (1, LONG)] * 25)


def test_a_killed_process_leaves_no_lock_behind() -> None:
    reading, writing = os.pipe()
    output = LineOutput(writing)
    pid = os.fork()
    if pid == 0:
        output.write("x" * 10_000_000)  # nobody reads: it waits in the middle of it, with the lock
        os._exit(0)
    os.read(reading, 1)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.set_blocking(reading, False)
    while True:
        try:
            os.read(reading, 65536)
        except BlockingIOError:
            break
    output.write("next")
    assert os.read(reading, 100) == b"next\n"
    os.close(reading)
    os.close(writing)


def test_the_next_line_does_not_go_on_in_one_that_was_cut_off() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # full at some time, as a disk
    output = LineOutput(writing)
    with pytest.raises(BlockingIOError):
        output.write("x" * 10_000_000)
    with pytest.raises(BlockingIOError):
        output.write("nothing of it")
    assert set(os.read(reading, 10_000_000)) == {ord("x")}
    output.write("next")
    output.write("and next")
    assert os.read(reading, 100) == b"\nnext\nand next\n"
    os.close(reading)
    os.close(writing)
