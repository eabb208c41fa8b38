"""Memory is given back when much of it has come together, and not for less."""

from smtpgate.server.heap import Heap, system_heap

MB = 2**20


def test_it_gives_back_what_is_worth_while() -> None:
    resident, in_use = 100 * MB, 100 * MB
    trimmed = []

    def trim() -> None:
        nonlocal resident
        trimmed.append(resident // MB)
        resident = in_use

    heap = Heap(lambda: resident, trim, lambda: busy)
    steps = [
        # resident, in use, whether messages are coming in, whether it is given back
        (120, 100, False, False),
        (200, 110, False, True),  # leaves 110
        (140, 110, False, False),
        (300, 300, True, True),
        (300, 150, True, True),  # what was needed then may be free now
        (150, 140, False, True),
        (170, 110, False, False),
        (172, 120, False, True),
        (90, 90, False, False),  # the C library did it by itself
        (122, 90, False, True),
    ]
    for now, used, busy, given_back in steps:  # noqa: B007 - read by the heap
        resident, in_use = now * MB, used * MB
        before = len(trimmed)
        heap.look()
        assert (len(trimmed) > before) is given_back, now


def test_the_system_can_do_it() -> None:
    heap = system_heap(lambda: False)
    if heap is not None:  # musl has none
        assert heap._resident() > 10 * MB
        heap._trim()
