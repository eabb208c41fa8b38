import hashlib
import tracemalloc

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.content import Body
from smtpgate.mailauth import dkim_canonical
from smtpgate.mailauth.dkim_canonical import body_digest, canonical_body, relaxed_field
from smtpgate.mailauth.message import HeaderField, Message
from smtpgate.spool import Spool
from tests.growth import assert_linear

LINES = st.lists(st.text(" \tab", max_size=8).map(str.encode), max_size=8)
BODIES = LINES.map(lambda lines: b"".join(line + b"\r\n" for line in lines))


def canonical(body: Body | bytes, *, relaxed: bool) -> bytes:
    return b"".join(canonical_body(memoryview(body) if isinstance(body, bytes) else body, relaxed=relaxed))


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return Spool(str(tmp_path_factory.mktemp("spool")))


@given(BODIES, st.integers(1, 12))
@example(b"a \t \r\n\r\n", 2)
@example(b"a\t \r\n\tb\r\n", 1)
def test_bodies_are_as_dkimpy_has_them(spool: Spool, body: bytes, piece: int) -> None:
    file = spool.open()
    file.append(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkim_canonical, "_PIECE", piece)
        for kept in (body, file):
            assert canonical(kept, relaxed=True) == Relaxed.canonicalize_body(body)
            assert canonical(kept, relaxed=False) == Simple.canonicalize_body(body)


@pytest.mark.parametrize("body", [b" " * 4_000_000 + b"x\r\n", b"x \r" * 1_000_000, b"\r\n" * 2_000_000])
@pytest.mark.parametrize("relaxed", [True, False])
def test_no_body_needs_more_memory_than_a_piece(spool: Spool, body: bytes, relaxed: bool) -> None:
    file = spool.open()
    file.append(body)
    tracemalloc.start()
    body_digest(file, relaxed=relaxed, length=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * dkim_canonical._PIECE


@given(st.sampled_from([b"Subject", b"sUBJECT ", b"X\t"]), LINES)
def test_fields_are_as_dkimpy_has_them(name: bytes, lines: list[bytes]) -> None:
    value = b"\r\n ".join(lines) + b"\r\n"
    (field,) = Message(name + b":" + value + b"\r\nbody").fields
    ((wanted_name, wanted_value),) = Relaxed.canonicalize_headers([(name, value)])
    assert relaxed_field(field) == wanted_name + b":" + wanted_value


@given(BODIES, st.booleans(), st.none() | st.integers(0, 40), st.integers(1, 12))
def test_a_digest_takes_the_first_octets(body: bytes, relaxed: bool, length: int | None, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dkim_canonical, "_PIECE", piece)
        whole = canonical(body, relaxed=relaxed)
        assert body_digest(memoryview(body), relaxed=relaxed, length=length) == (
            hashlib.sha256(whole[:length]).digest(),
            len(whole),
        )


# Each of these takes quadratic time in one library or another; the argument is their size.
HOSTILE = {
    "blanks": lambda n: b" " * n + b"\r\n",
    "blanks at many line ends": lambda n: (b"a" + b" " * 1000 + b"\r\n") * (n // 1000),
    "tabs": lambda n: b"\t" * n + b"x\r\n",
    "empty lines": lambda n: b"\r\n" * (n // 2),
    "blank lines": lambda n: b"a" + b" \r\n" * (n // 3),
    "one line": lambda n: b"a" * n + b"\r\n",
    "blanks within one line": lambda n: b"a  " * (n // 3) + b"\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("relaxed", [True, False])
def test_eight_times_the_body_is_not_64_times_the_work(name: str, relaxed: bool) -> None:
    small, large = (memoryview(HOSTILE[name](size)) for size in (125_000, 1_000_000))
    assert_linear(
        lambda: body_digest(small, relaxed=relaxed, length=None),
        lambda: body_digest(large, relaxed=relaxed, length=None),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_eight_times_the_field_is_not_64_times_the_work(name: str) -> None:
    small, large = (
        HeaderField(b"x", b"X:" + HOSTILE[name](size).replace(b"\r\n", b"\r\n ")) for size in (62_500, 500_000)
    )
    assert_linear(lambda: relaxed_field(small), lambda: relaxed_field(large))


def test_many_folded_lines_are_read_in_linear_time() -> None:
    small, large = (b"X: y\r\n" + b" \r\n" * count + b"\r\n" for count in (10_000, 80_000))
    assert_linear(lambda: Message(small).fields, lambda: Message(large).fields)
