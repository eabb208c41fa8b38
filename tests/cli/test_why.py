"""`smtpgate why`: what a support person asks, and the story that comes back."""

import asyncio
import errno
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from smtpgate.cli import main
from smtpgate.cli.story import tell
from smtpgate.cli.why import address, reference
from smtpgate.phases.facts import ClientCertificate, TlsFacts
from smtpgate.record import Record, RelayEntry, ReplyEntry, RuleEntry, story
from smtpgate.store.migrate import upgrade
from smtpgate.store.record_row import row_of
from smtpgate.store.sqlite import SqliteStore

CONFIG = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "smtp://127.0.0.1:10025"
[store]
url = "sqlite:///smtpgate.db"
[phases]
rcpt = ["reject_unauth_destination"]
"""
GREYLISTED = "450 4.2.0 Greylisted, please try again in 300 seconds"
NO_HOSTNAME = "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"


def refused() -> Record:
    """One recipient is put off by a rule, the other unknown to the downstream; two rules are in shadow mode."""
    record = Record(1_795_435_200.25, "192.0.2.7", "0.0.0.0:25", ref="7QK2M9XA", helo="mail.example.com")
    record.sender, record.recipients = "alice@example.com", ["bob@example.org", "carol@example.org"]
    record.outcome, record.decided_by, record.ms = "rejected", "downstream", 183.0
    block_list = {"question": "7.2.0.192.zen.example.org A", "status": "no such name", "list": "zen.example.org"}
    lame = {"question": "7.2.0.192.in-addr.arpa PTR", "status": "temporary failure", "detail": "no answer within 5 s"}
    triplet = {"client": "192.0.2.0/24", "first_seen": 1_795_435_200.5, "age": 0.0, "passes": 0}
    bob, carol = record.recipients
    record.rules = [
        RuleEntry("client", "reject_rbl_client zen.example.org", "enforce", None, "dunno", None, block_list, 12.3),
        RuleEntry(
            "client",
            "reject_unknown_client_hostname",
            "shadow",
            None,
            "reject",
            NO_HOSTNAME,
            {"dns": [lame], "names": []},
            30.4,
        ),
        RuleEntry("mail", "check_spf", "shadow"),
        RuleEntry("rcpt", "permit_mynetworks", "enforce", None, "dunno", ms=0.01),
        RuleEntry("rcpt", "reject_unauth_destination", "enforce", bob, "dunno", ms=0.12),
        RuleEntry("rcpt", "greylist", "enforce", bob, "defer", GREYLISTED, triplet, 3.1),
        RuleEntry("rcpt", "reject_unauth_destination", "enforce", carol, "dunno", ms=0.12),
    ]
    record.replies = [
        ReplyEntry(f"RCPT {bob}", GREYLISTED),
        ReplyEntry(f"RCPT {carol}", "550 5.1.1 User unknown"),
        ReplyEntry("XYZZY", "502 5.5.1 Error: command not implemented"),
        ReplyEntry("DATA", "554 5.5.1 Error: no valid recipients"),
    ]
    record.relay = [RelayEntry(f"RCPT {carol}", "550 5.1.1 User unknown in virtual mailbox table", 2.5)]
    return record


GOLDEN = """\
Reference 7QK2M9XA   2026-11-23 12:00:00 UTC   rejected, 183 ms

Refused for good by the downstream mail server. The sender's server will not try again, and tells its user.
The client was told: 550 5.1.1 User unknown

CLIENT   192.0.2.7 connected to 0.0.0.0:25
  dunno             reject_rbl_client zen.example.org   12 ms
      7.2.0.192.zen.example.org A: no such name
      list: zen.example.org
  (reject)          reject_unknown_client_hostname   30 ms
      shadow: would have refused with 450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]
      7.2.0.192.in-addr.arpa PTR: temporary failure (no answer within 5 s)

HELO     called itself mail.example.com

MAIL     from alice@example.com
  (unfinished)      check_spf
      shadow: had not answered when the record was closed

RCPT     to bob@example.org, carol@example.org
  dunno             permit_mynetworks   0.0 ms
  bob@example.org:
    dunno             reject_unauth_destination   0.1 ms
    defer             greylist   3.1 ms
        with 450 4.2.0 Greylisted, please try again in 300 seconds
        client: 192.0.2.0/24
        first seen: 2026-11-23 12:00:00 UTC
        age: 0 s
        passes: 0
    answered 450 4.2.0 Greylisted, please try again in 300 seconds
  carol@example.org:
    dunno             reject_unauth_destination   0.1 ms
    downstream: 550 5.1.1 User unknown in virtual mailbox table   2.5 ms
    answered 550 5.1.1 User unknown

DATA
  answered 554 5.5.1 Error: no valid recipients

OTHER
  XYZZY: answered 502 5.5.1 Error: command not implemented"""


def accepted(ref: str = "0000000A") -> Record:
    record = Record(1_795_435_200.0, "2001:db8::1", "0.0.0.0:25", ref=ref, sender="", size=1234, outcome="accepted")
    record.recipients = ["bob@example.org"]
    record.replies = [ReplyEntry("RCPT bob@example.org", "250 2.1.5 Ok"), ReplyEntry("end of data", "250 2.0.0 Ok")]
    record.relay = [RelayEntry("end of data", "250 2.0.0 queued as 4XyZ", 8.25)]
    return record


@pytest.fixture(autouse=True)
def _with_two_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(CONFIG)

    async def write():
        store = SqliteStore(tmp_path / "smtpgate.db")
        await store.write_records([row_of(refused()), row_of(accepted())])
        await store.close()

    asyncio.run(write())


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
    record.rules = [RuleEntry("client", "check_client_access t", "shadow", None, "dunno", None, evidence, 1.0)]
    told = tell(story(record.text()))
    assert "shadow: would have gone on with the rules that it names" in told
    assert "would ask: reject_a, reject_b c" in told


def test_what_rules_did_with_the_message_is_told():
    record = accepted()
    record.relay[-1:-1] = [
        RelayEntry("RCPT archive@example.com", "250 2.1.5 Ok", 0.0),
        RelayEntry("HOLD", "quarantine: 1-7QK2M9XA", 0.0),
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
    record.rules[0].evidence = {"\x1b": "\x07"}
    record.replies[0].reply = "450 \x1b]0;title\x07"
    assert all(char == "\n" or char.isprintable() for char in tell(story(record.text())))
    assert len(tell(story(record.text())).splitlines()) <= len(GOLDEN.splitlines())


@pytest.mark.parametrize(
    "asked",
    ["7QK2M9XA", "7qk2m9xa", " 7QK2M9XA ", "(ref 7QK2M9XA)", "ref 7QK2M9XA", f"{NO_HOSTNAME} (ref 7QK2M9XA)",
     "550-5.1.1 no\n550 5.1.1 sorry (ref 7QK2M9XA)\n"],
)  # fmt: skip
def test_a_reference_is_found_as_it_is_pasted(asked):
    assert reference(asked) == "7QK2M9XA"


def test_letters_that_no_reference_has_are_the_digits_they_look_like():
    assert reference("Oil2m9xa") == "0112M9XA"


@pytest.mark.parametrize(
    "asked", ["bob@example.org", "192.0.2.7", "2001:db8::1", "7QK2M9X", "7QK2M9XA1", "preference", ""]
)
def test_what_is_no_reference(asked):
    assert reference(asked) is None


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("<bob@example.org>", "bob@example.org"), ("[192.0.2.7]", "192.0.2.7"), ("[IPv6:2001:DB8:0::1]", "2001:db8::1")],
)
def test_an_address_without_its_brackets(asked, meant):
    assert address(asked) == meant


@pytest.mark.parametrize(
    "asked", [["7qk2m9xa"], ["550", "5.1.1", "no", "(ref", "7QK2M9XA)"], ["ALICE@example.com"], ["192.0.2.7"]]
)
def test_why_prints_the_story(asked, capsys):
    assert main(["why", *asked]) == 0
    assert capsys.readouterr() == (GOLDEN + "\n", "")


def test_the_newest_comes_first_up_to_the_limit(capsys):
    assert main(["why", "bob@example.org"]) == 0
    out = capsys.readouterr().out
    assert 0 < out.index("Reference 0000000A") + 1 < out.index("Reference 7QK2M9XA")
    assert main(["why", "bob@example.org", "--limit", "1"]) == 0
    assert "7QK2M9XA" not in capsys.readouterr().out


def test_json_is_the_whole_record_a_line_each(capsys):
    assert main(["why", "--json", "bob@example.org"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [story(accepted().text()), story(refused().text())]


@pytest.mark.parametrize(
    ("asked", "advice"),
    [("ZZZZZZZZ", "no record with the reference ZZZZZZZZ"), ("dave@example.org", "no record of dave@example.org")],
)
def test_what_is_unknown_says_what_to_do_next(asked, advice, capsys):
    assert main(["why", asked]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"smtpgate: {advice}.\n")
    assert "IP address" in err


def test_without_a_database(tmp_path, capsys):
    Path("smtpgate.db").unlink()
    assert main(["why", "7QK2M9XA"]) == 1
    assert capsys.readouterr().err == f"smtpgate: no database at {tmp_path}/smtpgate.db; run `smtpgate db upgrade`\n"
    assert not Path("smtpgate.db").exists()


@pytest.mark.parametrize("others", ["no server runs", "a server has just begun", "a server writes"])
def test_who_may_only_read_may_ask(others, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: path == tmp_path and mode != os.W_OK)
    with closing(sqlite3.connect("smtpgate.db")) as server:
        if others != "no server runs":
            server.execute("SELECT * FROM record").fetchall()
        if others == "a server writes":
            server.execute("UPDATE record SET ref = '0000000B' WHERE ref = '0000000A'")
            server.commit()
        there = sorted(tmp_path.iterdir())
        assert main(["why", "0000000B" if others == "a server writes" else "0000000A"]) == 0
        assert sorted(tmp_path.iterdir()) == there  # nothing was made to read it


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "run `smtpgate db upgrade`"), (b"garbage " * 1000, "file is not a database: ")]
)
def test_with_a_file_that_is_no_database(content, said, capsys):
    Path("smtpgate.db").write_bytes(content)
    assert main(["why", "7QK2M9XA"]) == 1
    assert said in capsys.readouterr().err


def test_with_a_directory_that_this_user_may_not_enter(capsys, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("smtpgate.store.lookup.os.stat", refused)
    assert main(["why", "7QK2M9XA"]) == 1
    assert "smtpgate.db: Permission denied" in capsys.readouterr().err


def test_an_empty_database_has_no_records(tmp_path, capsys):
    Path("smtpgate.db").unlink()
    upgrade(f"sqlite:///{tmp_path}/smtpgate.db")
    assert main(["why", "7QK2M9XA"]) == 1
    assert "no record with" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_below_one_is_refused(limit, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["why", "7QK2M9XA", f"--limit={limit}"])
    assert exited.value.code == 2
    assert "--limit" in capsys.readouterr().err


@pytest.mark.parametrize(("outcome", "said"), [("discarded", "Thrown away: "), ("held", "Held: ")])
def test_what_no_downstream_has_is_not_told_as_its_answer(outcome: str, said: str) -> None:
    record = Record(1_795_435_200.25, "192.0.2.7", "0.0.0.0:25", ref="7QK2M9XA", helo="mail.example.com")
    record.recipients, record.size, record.outcome = ["bob@example.org"], 70, outcome
    record.relay = [RelayEntry("RCPT bob@example.org", "250 2.1.5 Ok", 1.0), RelayEntry("end of data", "250 Ok", 1.0)]
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
