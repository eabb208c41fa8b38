"""Questions cannot be broken into from outside, and answers are the same however they are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.policy.service import PolicyService, policy_service
from smtpgate.policy.wire import AnswerReader, Nonsense, question


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_question_has_one_line_for_each_attribute(values):
    lines = question([("sender", value) for value in values]).decode()
    assert lines.endswith("\n\n")
    assert lines.count("\n") == len(values) + 1
    assert all(line.startswith("sender=") for line in lines.split("\n")[:-2])
    assert not any(ord(char) < 32 for char in lines.replace("\n", ""))


def test_what_is_no_text_is_sent_all_the_same():
    assert (
        question([("helo_name", "\udcff.example"), ("sender", "bücher\n@x")])
        == "helo_name=?.example\nsender=bücher?@x\n\n".encode()
    )


def read(pieces: list[bytes]) -> tuple[str | None, bytes]:
    reader = AnswerReader()
    for index, piece in enumerate(pieces):
        action = reader.feed(piece)
        if action is not None:
            return action, reader.rest + b"".join(pieces[index + 1 :])
    return None, b""


@given(
    st.sampled_from(
        [b"action=DUNNO\n\n", b"a=b\r\naction=REJECT x=y\r\n\r\nrest", b"action=  OK \n\n\n", b"action=DUNNO\n"]
    ),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_an_answer_is_the_same_however_it_is_cut(answer, cuts):
    places = sorted({0, *(min(cut, len(answer)) for cut in cuts), len(answer)})
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    assert read(pieces) == read([answer])


@given(st.binary(max_size=60))
def test_anything_else_is_nonsense_or_not_whole(data):
    try:
        action, _ = read([data])
    except Nonsense:
        return
    assert action is None or b"action" in data


@pytest.mark.parametrize(
    ("written", "service"),
    [
        ("inet:127.0.0.1:10023", PolicyService("127.0.0.1", 10023)),
        ("inet:policy.example.org:1", PolicyService("policy.example.org", 1)),
        ("inet:[::1]:10023", PolicyService("::1", 10023)),
        ("unix:/run/postgrey.sock", PolicyService(path="/run/postgrey.sock")),
        ("unix:private/policy", PolicyService(path="private/policy")),
    ],
)
def test_a_service_is_written_as_in_postfix(written, service):
    assert policy_service(written) == service
    assert str(service) == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        "127.0.0.1:10023",
        "inet:10023",
        "inet:a b:1",
        "inet:x:0",
        "inet:x:65536",
        "unix:",
        "tcp:x:1",
        7,
        "unix:/" + "x" * 200,
    ],
)
def test_anything_else_is_none(written):
    with pytest.raises(ValueError, match="a policy service such as"):
        policy_service(written)
