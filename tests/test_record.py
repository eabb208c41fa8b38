"""The record as text and back: nothing of it is left out, and nothing in it keeps it from being written."""

import dataclasses
import json
import math
import re

import pytest

from smtpgate.record import Record, RelayEntry, ReplyEntry, RuleEntry, new_reference, story

INTERNAL = {"began", "listed", "pending"}
RULE, REPLY, RELAY = (
    RuleEntry("rcpt", "permit", "enforce"),
    ReplyEntry("RCPT", "250 Ok"),
    RelayEntry("DATA", "", 1500),
)


def names(entry: object) -> set[str]:
    return {field.name for field in dataclasses.fields(entry)}  # type: ignore[arg-type]


def made(**facts: object) -> Record:
    return dataclasses.replace(Record(1.0, "192.0.2.1", "127.0.0.1:25"), **facts)  # type: ignore[arg-type]


def test_a_story_tells_all() -> None:
    told = story(made(rules=[RULE], replies=[REPLY], relay=[RELAY]).text())
    assert set(told) == names(Record(1.0, "", "")) - INTERNAL
    for kept, entries in ((RULE, told["rules"]), (REPLY, told["replies"]), (RELAY, told["relay"])):
        facts = kept._asdict()
        if "us" in facts:
            facts["ms"] = facts.pop("us") / 1000
        assert entries == [facts]


def test_the_text_has_no_names_and_always_this_order() -> None:
    """Records of years are read again: a new value may only come last."""
    text = json.loads(made(rules=[RULE], replies=[REPLY], relay=[RELAY], ref="7QK2M9XA", sender="").text())
    assert text == [
        *(1.0, "192.0.2.1", "127.0.0.1:25", "7QK2M9XA", [], None, None, None, "", []),
        [["rcpt", "permit", "enforce", None, "unfinished", None, None, 0, None, ""]],
        [["RCPT", "250 Ok"]],
        [["DATA", "", 1500]],
        *(None, "abandoned", None, 0.0, 0),
    ]


def test_older_texts_are_understood() -> None:
    whole = ["rcpt", "permit", "enforce", None, "dunno", None, None, 1.5, None, ""]
    facts = {"ref": "7QK2M9XA", "rules": [whole], "replies": [["RCPT", "250 Ok"]], "relay": [["DATA", "", 2.5]]}
    told = story(json.dumps(facts))
    assert (told["ref"], told["rules"][0]["verdict"], told["rules"][0]["ms"]) == ("7QK2M9XA", "dunno", 1.5)
    assert told["relay"] == [{"command": "DATA", "reply": "", "ms": 2.5}]
    named = json.dumps({"ref": "7QK2M9XA", "rules": [{"phase": "mail"}], "replies": [], "relay": []})
    assert story(named)["rules"] == [{"phase": "mail"}]
    shorter = json.dumps({"ref": "7QK2M9XA", "rules": [["mail", "permit"]], "replies": [], "relay": []})
    assert story(shorter)["rules"] == [{"phase": "mail", "rule": "permit"}]


def test_a_text_stays_what_it_was() -> None:
    """A session may go on with a record that was handed over: its time-out notes there that it was sent away."""
    evidence: dict[str, object] = {"names": ["a.example"]}
    record = made(outcome="accepted", rules=[RULE._replace(evidence=evidence)])
    before = record.text()
    told = story(before)
    record.outcome = "deferred"
    record.recipients.append("late@example.org")
    evidence["names"] = []
    assert story(before) == told
    assert record.text() != before


@pytest.mark.parametrize(
    ("evidence", "kept"),
    [
        (b"\xff\0", "b'\\xff\\x00'"),
        ({"key": {1}}, {"key": "{1}"}),
        (["\udcff", "\0", "\u2028", '"', "é", "🙂"], ["\udcff", "\0", "\u2028", '"', "é", "🙂"]),
        ({"deep": [[[{"a": (1, None, True)}]]]}, {"deep": [[[{"a": [1, None, True]}]]]}),
        (float("inf"), math.inf),
        ("x" * 2_000_000, "x" * 2_000_000),
    ],
    ids=["bytes", "object", "characters", "deep", "infinity", "huge"],
)
def test_whatever_a_rule_saw_can_be_written(evidence: object, kept: object) -> None:
    text = made(rules=[RULE._replace(evidence=evidence)]).text()
    assert text.isascii()
    assert story(text)["rules"][0]["evidence"] == kept


def test_no_number_stays_no_number() -> None:
    assert math.isnan(story(made(ms=math.nan).text())["ms"])


def test_evidence_that_holds_itself_is_an_error_and_no_endless_loop() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        made(rules=[RULE._replace(evidence=endless)]).text()


def test_references_are_of_the_alphabet_and_differ() -> None:
    made = {new_reference() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{8}", ref) for ref in made)
