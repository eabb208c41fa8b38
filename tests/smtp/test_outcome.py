"""From the downstream's answers to the client's reply."""

import pytest

from smtpgate.relay.downstream import RelayReply
from smtpgate.smtp.outcome import combine, passed_on
from smtpgate.smtp.redelivery import ALREADY

OK = RelayReply(250, "2.0.0", "queued as 4F3A")
AWAY = RelayReply(452, "4.2.2", "over quota")
GONE = RelayReply(550, "5.1.1", "no such user")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (OK, "250 2.0.0 queued as 4F3A"),
        (RelayReply(251, None, "will forward"), "250 2.0.0 will forward"),
        (GONE, "550 5.1.1 no such user"),
        (RelayReply(550, "4.1.1", "contradiction"), "550 5.0.0 contradiction"),
        (RelayReply(450, None, "greylisted"), "450 4.0.0 greylisted"),
        (RelayReply(354, None, "nonsense"), "451 4.0.0 nonsense"),
        (RelayReply(550, "5.1.1", "tab\there\r\n250 injected"), "550 5.1.1 tab?here?250 injected"),
        (RelayReply(250, "2.0.0", ""), "250 2.0.0 Ok"),
    ],
)
def test_passed_on(answer: RelayReply, line: str) -> None:
    assert passed_on(answer).line() == line


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([OK], 250),
        ([OK, OK], 250),
        ([GONE], 550),
        ([AWAY], 452),
        ([GONE, GONE], 550),
        ([GONE, AWAY], 452),  # the client must try again for the second
        ([AWAY, GONE], 452),
        ([OK, GONE], 451),
        ([AWAY, OK], 451),
        ([], 451),
        ([ALREADY, ALREADY], 250),
        ([OK, ALREADY], 250),
        ([GONE, ALREADY], 550),  # refused for good a second time: nothing is left to try
        ([OK, GONE, ALREADY], 550),
        ([AWAY, GONE, ALREADY], 451),
        ([RelayReply(354, None, "nonsense"), GONE, ALREADY], 451),
        ([OK, RelayReply(250, "2.0.0", ALREADY.text), GONE], 451),  # what a server says is no memory of ours
    ],
)
def test_combine(answers: list[RelayReply], code: int) -> None:
    assert combine(answers).code == code


def test_a_final_refusal_says_that_the_others_have_it() -> None:
    line = combine([GONE, RelayReply(552, "5.2.2", "full"), ALREADY]).line("7QK2M9XA")
    assert line == "550 5.1.1 no such user; the other recipients have the message (ref 7QK2M9XA)"


def test_a_long_text_keeps_the_line_within_bounds() -> None:
    long = RelayReply(550, "5.1.1", "x" * 5000)
    for reply in (passed_on(long), combine([long, ALREADY])):
        assert len(reply.line("7QK2M9XA")) <= 510
