"""The log tells of a name server that answers nothing, once for all workers, and not of every slow domain."""

import pytest

from smtpgate.server.dns_news import NOT_AGAIN_WITHIN, SILENT_FOR, NameServerNews
from tests.fakes import Clock

SILENT = "name server 192.0.2.53:53 does not answer: it was asked for 10 s in vain"
BACK = "name server 192.0.2.53:53 answers again"


class Reports:
    """What the workers report, in the end to news."""

    def __init__(self, workers: int = 2) -> None:
        self.clock = Clock()
        self.news = NameServerNews(self.clock)
        self.workers = [self.worker() for _ in range(workers)]

    def worker(self) -> dict[str, int | str]:
        return {"name": "192.0.2.53:53", "answered": 0, "timeouts": 0, "errors": 0}

    def hear(self, after: float, worker: int = 0, **more: int) -> None:
        self.clock.advance(after)
        for key, count in more.items():
            self.workers[worker][key] += count
        self.news.hear({"servers": [server]} for server in self.workers)


@pytest.mark.parametrize("trouble", ["timeouts", "errors"])
def test_a_line_when_it_is_silent_and_one_when_it_is_back(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    reports.hear(0, answered=5)
    for second in range(20):
        reports.hear(1, second % 2, **{trouble: 1})
    assert caplog.messages == [SILENT]
    for second in range(5):
        reports.hear(1, second % 2, answered=1)
    assert caplog.messages == [SILENT, BACK]


def test_one_question_after_which_nothing_is_asked_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    for _ in range(4):
        reports.hear(2, timeouts=1)
    for _ in range(100):
        reports.hear(1)
    assert caplog.messages == []
    reports.hear(1, timeouts=1)
    assert len(caplog.messages) == 1


def test_a_slow_domain_among_others_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    for _ in range(100):
        reports.hear(SILENT_FOR / 2, timeouts=3)
        reports.hear(0, 1, answered=1)
    assert caplog.messages == []


def test_a_stranger_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whose domains are all that is asked for."""
    reports = Reports()
    began = reports.clock()
    while reports.clock() - began < 2 * NOT_AGAIN_WITHIN:
        reports.hear(1, timeouts=1)
        reports.hear(SILENT_FOR, timeouts=1)
        reports.hear(1, answered=1)
    assert caplog.messages == [SILENT, BACK] * 2


def test_silence_that_was_not_told_yet_is_told_later(caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    for _ in range(2):
        for _ in range(12):
            reports.hear(1, timeouts=1)
        reports.hear(1, answered=1)
    assert caplog.messages == [SILENT, BACK]
    for _ in range(int(NOT_AGAIN_WITHIN)):
        reports.hear(1, timeouts=1)
    assert len(caplog.messages) == 3


def test_new_workers_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    reports = Reports()
    reports.hear(0, answered=50)
    for _ in range(12):
        reports.hear(1, timeouts=1)
    reports.workers = [reports.worker()]
    for _ in range(12):
        reports.hear(1, timeouts=1)
    assert caplog.messages == [SILENT]
    reports.hear(1, answered=1)
    assert caplog.messages == [SILENT, BACK]
