"""The right-hand side of access tables: access(5)."""

import pytest

from smtpgate.phases.access_result import parse_result
from smtpgate.phases.message_action import Deed
from smtpgate.phases.subject import Subject


@pytest.mark.parametrize(
    ("text", "action", "reply"),
    [
        ("OK", "permit", None),
        ("ok whatever", "permit", None),
        ("RELAY", "permit", None),
        ("1795439004", "permit", None),
        ("DUNNO", "dunno", None),
        ("dunno whatever", "dunno", None),
        ("INFO seen again", "dunno", None),
        ("WARN seen again", "dunno", None),
        ("REJECT", "reject", "554 5.7.1 <x>: Client host rejected: Access denied"),
        ("reject", "reject", "554 5.7.1 <x>: Client host rejected: Access denied"),
        ("REJECT go away", "reject", "554 5.7.1 <x>: Client host rejected: go away"),
        ("REJECT\tgo\taway", "reject", "554 5.7.1 <x>: Client host rejected: go?away"),
        ("REJECT 5.7.25 no name", "reject", "554 5.7.25 <x>: Client host rejected: no name"),
        ("REJECT 4.7.25 no name", "reject", "554 5.7.25 <x>: Client host rejected: no name"),
        ("REJECT 5.7.25", "reject", "554 5.7.25 <x>: Client host rejected: Access denied"),
        ("DEFER", "defer", "450 4.7.1 <x>: Client host rejected: Access denied"),
        ("DEFER later", "defer", "450 4.7.1 <x>: Client host rejected: later"),
        ("DEFER_IF_PERMIT", "defer_if_permit", "450 4.7.1 <x>: Client host rejected: Service unavailable"),
        ("DEFER_IF_REJECT why", "defer_if_reject", "450 4.7.1 <x>: Client host rejected: why"),
        ("550 no", "reject", "550 5.7.1 <x>: Client host rejected: no"),
        ("550 5.2.1 no", "reject", "550 5.2.1 <x>: Client host rejected: no"),
        ("450 later", "defer", "450 4.7.1 <x>: Client host rejected: later"),
        ("421 4.7.0 bye", "defer", "421 4.7.0 <x>: Client host rejected: bye"),
        ("521 bye", "reject", "521 5.7.1 <x>: Client host rejected: bye"),
    ],
)
def test_answers(text: str, action: str, reply: str | None) -> None:
    verdict = parse_result(text).verdict(Subject.CLIENT, "x", {}, ())
    assert verdict.action.value == action
    assert (None if verdict.reply is None else str(verdict.reply)) == reply
    assert verdict.deeds == ()


@pytest.mark.parametrize(
    ("text", "deed", "argument", "action"),
    [
        ("DISCARD", Deed.DISCARD, "", "permit"),
        ("discard spam", Deed.DISCARD, "spam", "permit"),
        ("HOLD", Deed.HOLD, "", "dunno"),
        ("HOLD look at it", Deed.HOLD, "look at it", "dunno"),
        ("PREPEND X-Listed: yes", Deed.PREPEND, "X-Listed: yes", "dunno"),
        ("PREPEND X-Empty:", Deed.PREPEND, "X-Empty:", "dunno"),
        ("REDIRECT spam@example.org", Deed.REDIRECT, "spam@example.org", "dunno"),
        ("BCC archive+x@example.org", Deed.BCC, "archive+x@example.org", "dunno"),
        ("BCC x@bücher.example", Deed.BCC, "x@xn--bcher-kva.example", "dunno"),
    ],
)
def test_deeds(text: str, deed: Deed, argument: str, action: str) -> None:
    verdict = parse_result(text).verdict(Subject.SENDER, "x", {}, ())
    assert [(done.deed, done.text) for done in verdict.deeds] == [(deed, argument)]
    assert (verdict.action.value, verdict.reply) == (action, None)


@pytest.mark.parametrize("text", ["reject_unauth_destination", "strict", "reject_rbl_client bl.example, permit"])
def test_names_of_rules(text: str) -> None:
    assert parse_result(text).names == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no result"),
        ("550", "needs a text"),
        ("FILTER smtp:[127.0.0.1]:10026", "no"),
        ("FILTER", "set it in the mail server behind"),
        ("HANGUP", "421 or 521"),
        ("DELAY 1h", "mail queue"),
        ("PREPEND", "needs a header field"),
        ("PREPEND no colon", "needs a header field"),
        ("PREPEND X Y: z", "needs a header field"),
        ("PREPEND X: a\r\nTo: b", "needs a header field"),
        ("PREPEND X: " + "y" * 1000, "needs a header field"),
        ("REDIRECT nobody", "needs an address"),
        ("REDIRECT a@b@c", "needs an address"),
        ("REDIRECT a@$1", "needs an address"),
        ("BCC", "needs an address"),
        ("BCC a@example.org b@example.org", "needs an address"),
        ("check_client_access hash:/etc/postfix/other", "a table cannot name a table"),
    ],
)
def test_what_cannot_be_done(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        parse_result(text)


@pytest.mark.parametrize(
    ("written", "subject", "expected"),
    [
        ("5.1.1", Subject.SENDER, "5.1.7"),
        ("5.1.2", Subject.SENDER, "5.1.8"),
        ("5.1.5", Subject.SENDER, "5.1.0"),
        ("5.1.9", Subject.SENDER, "5.1.0"),
        ("5.1.7", Subject.RECIPIENT, "5.1.3"),
        ("5.1.8", Subject.RECIPIENT, "5.1.2"),
        ("5.1.6", Subject.RECIPIENT, "5.1.6"),
        ("5.1.1", Subject.CLIENT, "5.0.0"),
        ("5.1.8", Subject.HELO, "5.0.0"),
        ("5.7.25", Subject.SENDER, "5.7.25"),
        ("5.2.1", Subject.RECIPIENT, "5.2.1"),
    ],
)
def test_codes_about_addresses_fit_what_is_refused(written: str, subject: Subject, expected: str) -> None:
    verdict = parse_result(f"REJECT {written} no").verdict(subject, "x", {}, ())
    assert verdict.reply is not None
    assert verdict.reply.enhanced == expected
