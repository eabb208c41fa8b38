"""The record as plain data: nothing of it is left out."""

import dataclasses

from smtpgate.record import Record, RelayEntry, ReplyEntry, RuleEntry

INTERNAL = {"listed", "pending"}


def names(entry: object) -> set[str]:
    return {field.name for field in dataclasses.fields(entry)}  # type: ignore[arg-type]


def test_a_story_tells_all() -> None:
    rule, reply, relay = (
        RuleEntry("rcpt", "permit", "enforce"),
        ReplyEntry("RCPT", "250 Ok"),
        RelayEntry("DATA", "", 1.0),
    )
    story = Record(1.0, "192.0.2.1", "127.0.0.1:25", rules=[rule], replies=[reply], relay=[relay]).story()
    assert set(story) == names(Record(1.0, "", "")) - INTERNAL
    for kept, told in ((rule, story["rules"]), (reply, story["replies"]), (relay, story["relay"])):
        assert told == [{name: getattr(kept, name) for name in names(kept)}]
