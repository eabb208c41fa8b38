"""Who waited for the banner is remembered, within time and bounds."""

from smtpgate.smtp.acquaintances import Acquaintances

DAY = 86400.0


def test_remembered_for_seven_days() -> None:
    known = Acquaintances()
    assert not known.knows(b"a", 0.0)
    known.passed(b"a", 0.0)
    assert known.knows(b"a", 7 * DAY - 1)
    assert not known.knows(b"a", 7 * DAY)
    assert not known.knows(b"b", 0.0)


def test_who_talks_early_is_forgotten() -> None:
    known = Acquaintances()
    known.passed(b"a", 0.0)
    known.forget(b"a")
    known.forget(b"never seen")
    assert not known.knows(b"a", 1.0)


def test_the_least_recent_goes_first() -> None:
    known = Acquaintances(most=2)
    for client in (b"a", b"b", b"a", b"c"):
        known.passed(client, 0.0)
    assert [client for client in (b"a", b"b", b"c") if known.knows(client, 1.0)] == [b"a", b"c"]
