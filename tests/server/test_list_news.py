"""One line in the log for what all workers find out about a DNS list."""

import pytest

from smtpgate.server.list_news import ListNews

SUSPENDED = "bl.example (IPv4) is suspended: it lists 127.0.0.1; until a self-test is good, it lists nobody"
FAILING = "bl.example (IPv4) does not answer and is not asked for now: no answer within 5 s"
GOOD = "bl.example (IPv4) is good again, and asked"
REASONS = {"s": ("suspended", "it lists 127.0.0.1"), "f": ("failing", "no answer within 5 s")}
REASONS |= {"u": ("untested", None), "g": ("good", None)}


def report(state: str) -> list[dict[str, str | None]]:
    state, reason = REASONS[state]
    return [{"list": "bl.example", "kind": "IPv4", "state": state, "reason": reason}]


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        # each word is what the workers report at one time, a letter each
        ("u g gg gg", []),
        ("us ss ss", [SUSPENDED]),
        ("sg ss sg gg gg", [SUSPENDED, GOOD]),
        ("ss sg ss", [SUSPENDED]),
        ("uf fg gg", [FAILING, GOOD]),
        ("ff fs ss gg", [FAILING, SUSPENDED, GOOD]),
        ("ss fs fg gg", [SUSPENDED, FAILING, GOOD]),
        ("ss uu us ss", [SUSPENDED]),  # a reload
        ("ss uu ug gg", [SUSPENDED, GOOD]),
        ("ss s us ss", [SUSPENDED]),  # a worker crashed
        ("gg ss gg ss", [SUSPENDED, GOOD, SUSPENDED]),
    ],
)
def test_one_line_for_each_change(heard: str, told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    news = ListNews()
    for states in heard.split():
        news.hear(report(state) for state in states)
    assert caplog.messages == told


def test_each_list_and_kind_of_question_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    one = report("s")[0]
    ListNews().hear([[one, {**one, "kind": "IPv6"}], [{**one, "list": "wl.example"}]])
    assert [line.partition(" is ")[0] for line in caplog.messages] == [
        "bl.example (IPv4)", "bl.example (IPv6)", "wl.example (IPv4)",
    ]  # fmt: skip
