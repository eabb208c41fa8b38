"""The story of a record, as a support person reads it."""

from dataclasses import asdict

import pytest

from smtpgate.cli.story import tell
from smtpgate.phases.facts import ClientCertificate, TlsFacts
from smtpgate.record import Record, RelayEntry, ReplyEntry, RuleEntry, story
from tests.cli.records import GOLDEN, GREYLISTED, NO_HOSTNAME, accepted, refused


def test_the_story_of_a_refusal():
    assert tell(story(refused().text())) == GOLDEN


def test_the_story_of_an_accepted_bounce():
    assert tell(story(accepted().text())).splitlines()[2:] == [
        "Accepted: the downstream has taken the message.",
        "",
        "CLIENT   2001:db8::1 connected to 0.0.0.0:25",
        "",
        "MAIL     from <> (a bounce or another notice)",
        "",
        "RCPT     to bob@example.org",
        "  bob@example.org:",
        "    answered 250 2.1.5 Ok",
        "",
        "MESSAGE  1234 bytes",
        "  downstream: 250 2.0.0 queued as 4XyZ   8.2 ms",
        "  answered 250 2.0.0 Ok",
    ]


def test_rules_that_would_have_been_asked_are_named():
    record = refused()
    evidence = {"key": "x", "would_ask": ["reject_a", "reject_b c"]}
    record.rules = [RuleEntry("client", "check_client_access t", "shadow", None, "dunno", None, evidence, 1000)]
    told = tell(story(record.text()))
    assert "shadow: would have gone on with the rules that it names" in told
    assert "would ask: reject_a, reject_b c" in told


def test_what_rules_did_with_the_message_is_told():
    record = accepted()
    record.relay[-1:-1] = [
        RelayEntry("RCPT archive@example.com", "250 2.1.5 Ok"),
        RelayEntry("HOLD", "quarantine: 1-7QK2M9XA"),
    ]
    told = tell(story(record.text()))
    assert "  RCPT archive@example.com: 250 2.1.5 Ok\n  HOLD: quarantine: 1-7QK2M9XA\n  downstream: 250 " in told


@pytest.mark.parametrize(
    ("outcome", "by", "sentence"),
    [
        ("rejected", "greylist", "Refused for good by the rule greylist."),
        ("deferred", "greylist", "Refused for now by the rule greylist."),
        ("deferred", "smtpgate", "Refused for now by smtpgate itself."),
        ("rejected", None, "Refused for good."),
        ("abandoned", None, "Not finished: the client left or gave up before there was a message."),
    ],
)
def test_the_outcome_in_a_plain_sentence(outcome, by, sentence):
    record = refused()
    record.outcome, record.decided_by = outcome, by
    assert tell(story(record.text())).splitlines()[2].startswith(sentence)


def test_the_reply_is_that_of_the_rule_that_decided():
    record = refused()
    record.decided_by = "greylist"
    assert f"The client was told: {GREYLISTED}" in tell(story(record.text()))


@pytest.mark.parametrize(
    ("tls", "line"),
    [
        (
            {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "bits": 256, "sni": "mx.example.org"},
            "  encrypted with TLSv1.3, TLS_AES_256_GCM_SHA384, 256 bits, for mx.example.org",
        ),
        (
            {"version": "TLSv1.2", "cipher": "ECDHE-RSA-AES128-GCM-SHA256", "bits": 128, "sni": None},
            "  encrypted with TLSv1.2, ECDHE-RSA-AES128-GCM-SHA256, 128 bits",
        ),
        ({"failed": "no shared cipher"}, "  TLS handshake failed: no shared cipher"),
    ],
)
def test_what_protected_the_session(tls, line):
    record = accepted()
    record.tls = tls
    told = tell(story(record.text())).splitlines()
    assert told[told.index("CLIENT   2001:db8::1 connected to 0.0.0.0:25") + 1] == line


@pytest.mark.parametrize(
    ("verified", "problem", "told"),
    [(True, "", "    verified"), (False, "validation failed: expired", "    not verified: validation failed: expired")],
)
def test_the_certificate_that_the_client_showed(verified, problem, told):
    record = accepted()
    certificate = ClientCertificate("client.example.net", "", "0A:1B", "2C:3D", verified, problem)
    record.tls = asdict(TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, None, certificate))
    lines = tell(story(record.text())).splitlines()
    start = lines.index("  certificate of client.example.net, signed by (no name)")
    assert lines[start + 1 : start + 4] == [f"  {told}", "      fingerprint 0A:1B", "      of its key  2C:3D"]


def test_an_accepted_message_names_who_does_not_get_it():
    record = refused()
    record.outcome, record.decided_by = "accepted", None
    assert "But not for bob@example.org, carol@example.org." in tell(story(record.text()))


@pytest.mark.parametrize(
    ("verdict", "reply", "line"),
    [
        ("dunno", None, "shadow: would have changed nothing"),
        ("permit", None, "shadow: would have permitted"),
        ("defer_if_permit", NO_HOSTNAME, f"shadow: would have refused with {NO_HOSTNAME}"),
        ("defer_if_reject", NO_HOSTNAME, f"shadow: would have turned a later refusal into {NO_HOSTNAME}"),
        ("error", NO_HOSTNAME, f"shadow: would have refused with {NO_HOSTNAME}"),
        ("error", None, "shadow: would have been passed over"),
    ],
)
def test_what_a_shadow_rule_would_have_done(verdict, reply, line):
    record = accepted()
    record.rules = [RuleEntry("client", "a_rule", "shadow", None, verdict, reply)]
    assert f"  ({verdict})" in tell(story(record.text()))
    assert f"      {line}\n" in tell(story(record.text()))


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        ("reject", f"  (reject)          a_rule   0.0 ms\n      warning: would have refused with {NO_HOSTNAME}\n"),
        ("defer_if_permit", f"      warning: would have refused with {NO_HOSTNAME}\n"),
        ("defer_if_reject", f"  defer_if_reject   a_rule   0.0 ms\n      with {NO_HOSTNAME}\n"),
        ("error", f"  error             a_rule   0.0 ms\n      with {NO_HOSTNAME}\n"),
    ],
)
def test_what_a_rule_that_warns_held_back(verdict, line):
    record = accepted()
    record.rules = [RuleEntry("client", "a_rule", "warn", None, verdict, NO_HOSTNAME)]
    assert line in tell(story(record.text()))


@pytest.mark.parametrize(
    ("evidence", "lines"),
    [
        ({"dns": "x A: no such name", "list": "y"}, ["x A: no such name", "list: y"]),
        ({"lookups": ["x A: no data", "x MX: 10 y (for 60 s)"]}, ["x A: no data", "x MX: 10 y (for 60 s)"]),
        # as earlier versions wrote it
        ({"question": "x MX", "status": "answer", "records": ["10 y"], "ttl": 60}, ["x MX: 10 y (for 60 s)"]),
        ({"lookups": [{"question": "x TXT", "status": "no data"}], "more": 1}, ["x TXT: no data", "more: 1"]),
        ({"early_talker": True, "after": None, "list_error": ["a", "b"]}, ["early talker: yes", "list error: a, b"]),
        ({"signatures": [{"domain": "a"}, {"domain": "b"}]}, ["domain: a", "domain: b"]),
        ({"long": "x" * 1000}, ["long: " + "x" * 294]),
        ({f"n{n}": n for n in range(14)}, [*(f"n{n}: {n}" for n in range(12)), "and 2 more; --json shows all"]),
        (None, []),
    ],
)  # fmt: skip
def test_evidence_in_short_words(evidence, lines):
    record = accepted()
    record.rules = [RuleEntry("client", "a_rule", "enforce", None, "dunno", None, evidence)]
    client = tell(story(record.text())).split("\n\n")[2]
    assert client.splitlines()[2:] == [f"      {line}" for line in lines]


def test_nothing_that_a_stranger_wrote_reaches_the_terminal():
    record = refused()
    record.helo, record.sender = "\x1b[2J\r\nforged", "\udcff\u202e@example.com"
    record.rules[0] = record.rules[0]._replace(evidence={"\x1b": "\x07"})
    record.replies[0] = record.replies[0]._replace(reply="450 \x1b]0;title\x07")
    assert all(char == "\n" or char.isprintable() for char in tell(story(record.text())))
    assert len(tell(story(record.text())).splitlines()) <= len(GOLDEN.splitlines())


@pytest.mark.parametrize(("outcome", "said"), [("discarded", "Thrown away: "), ("held", "Held: ")])
def test_what_no_downstream_has_is_not_told_as_its_answer(outcome: str, said: str) -> None:
    record = Record(1_795_435_200.25, "192.0.2.7", "0.0.0.0:25", ref="7QK2M9XA", helo="mail.example.com")
    record.recipients, record.size, record.outcome = ["bob@example.org"], 70, outcome
    record.relay = [RelayEntry("RCPT bob@example.org", "250 2.1.5 Ok", 1000), RelayEntry("end of data", "250 Ok", 1000)]
    record.replies = [ReplyEntry("end of data", "250 2.0.0 Ok")]
    told = tell(story(record.text()))
    assert said in told
    assert "  downstream: 250 2.1.5 Ok" in told
    assert "  downstream: 250 Ok" not in told
    assert "  answered 250 2.0.0 Ok" in told


@pytest.mark.parametrize(
    ("outcome", "evidence", "told"),
    [
        (
            "discarded",
            {"key": "spam.example", "result": "DISCARD we know it"},
            [
                "Thrown away by the rule a_rule: the client was told that it was accepted.",
                "The rule says: DISCARD we know it",
            ],
        ),
        (
            "held",
            {"service": "inet:127.0.0.1:10023", "action": "HOLD odd"},
            [
                "Held by the rule a_rule: the message is in the quarantine, and `smtpgate quarantine` shows it.",
                "The rule says: HOLD odd",
            ],
        ),
        (
            "held",
            {"matched": ["HOLD: Subject: odd"]},
            ["Held by the rule a_rule: the message is in the quarantine, and"],
        ),
    ],
)
def test_who_wanted_it_discarded_or_held(outcome: str, evidence: dict, told: list[str]) -> None:
    record = accepted()
    record.outcome, record.decided_by = outcome, "a_rule"
    record.rules = [
        RuleEntry("mail", "another", "enforce"),
        RuleEntry("mail", "a_rule", "enforce", None, "dunno", None, evidence),
    ]
    lines = tell(story(record.text())).splitlines()[2:]
    assert all(line.startswith(expected) for line, expected in zip(lines, told, strict=False))
    assert ("The rule says: " in "\n".join(lines)) is (len(told) == 2)
