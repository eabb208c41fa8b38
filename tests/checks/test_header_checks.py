"""header_checks: what each action does, what a folded field is, and that hostile headers hold nobody up."""

import threading
from pathlib import Path

import pytest

from smtpgate.checks.header_checks import header_table
from smtpgate.phases.message_action import Deed, MessageAction
from smtpgate.tables.patterns import Patterns
from tests.checks.asking import ask, context, facts, short
from tests.harness import serving

MESSAGE = b"Subject: cheap\r\n\tpills for you\r\nX-Old: one\r\nX-Old: two\r\nX-Long: end\r\n\r\nX-Old: body\r\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["/^Nothing/ REJECT"], "dunno"),
        (["/^Subject: cheap/ REJECT"], "reject 550 5.7.1"),
        (["/^subject:.*pills/ reject"], "reject 550 5.7.1"),  # over the fold, without regard to case
        (["/^Subject:/ REJECT 5.7.0 go away"], "reject 550 5.7.0"),
        (["/^Subject:/ REJECT 4.7.0 later"], "defer 450 4.7.0"),
        (["/^Subject:/ 451 4.3.0 later"], "defer 451 4.3.0"),
        (["/^Subject:/ 554 no"], "reject 554 5.7.1"),
        (["/^Subject:/ WARN it", "/^Subject:/ REJECT"], "dunno"),  # the first that matches counts
        (["/^Subject:/ DUNNO", "/^X-Old: two/ REJECT"], "reject 550 5.7.1"),
        (["/^X-Old: body/ REJECT"], "dunno"),
        (["/^Subject:/ DISCARD"], "permit"),
        (["/^Subject:/ HOLD"], "dunno"),
        (["if /^Subject:/", "/pills/ REJECT", "endif"], "reject 550 5.7.1"),
        (["!/^X-Old:/ REJECT"], "reject 550 5.7.1"),
    ],
)
async def test_header_checks(lines: list[str], expected: str) -> None:
    assert short(await ask("header_checks", facts(message=MESSAGE), context(), table=lines)) == expected


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("/^X-Old:/ IGNORE", b"Subject: cheap\r\n\tpills for you\r\nX-Long: end\r\n"),
        ("/^Subject:/ STRIP spam", b"X-Old: one\r\nX-Old: two\r\nX-Long: end\r\n"),
        (
            "/^X-Old: (o.*)/ REPLACE X-New: $1!",
            b"Subject: cheap\r\n\tpills for you\r\nX-New: one!\r\nX-Old: two\r\nX-Long: end\r\n",
        ),
        (
            "/^X-Long:/ PREPEND X-Seen: yes",
            b"Subject: cheap\r\n\tpills for you\r\nX-Old: one\r\nX-Old: two\r\nX-Seen: yes\r\nX-Long: end\r\n",
        ),
        # what a stranger writes adds no line
        (
            "/^Subject: (.*)/ REPLACE X: $1",
            b"X: cheap pills for you\r\nX-Old: one\r\nX-Old: two\r\nX-Long: end\r\n",
        ),
    ],
)
async def test_fields_are_changed_before_the_downstream_sees_them(line: str, header: bytes) -> None:
    config = f"""
[phases]
rcpt = ["reject_unauth_destination"]
end_of_data = [{{ rule = "header_checks", table = ['{line}'] }}, {{ rule = "header_checks", table = ["/./ IGNORE"], mode = "shadow" }}]
"""  # noqa: E501
    async with serving(config) as gate, gate.client() as client:
        await client.greet()
        assert (await client.deliver("a@example.net", ["b@example.org"], MESSAGE))[-1].startswith("250")
    (message,) = gate.downstream.messages
    assert message.content.endswith(b"\r\n" + header + b"\r\nX-Old: body\r\n")


@pytest.mark.parametrize("word", ["DISCARD", "HOLD", "REDIRECT x@example.org", "BCC x@example.org"])
async def test_what_is_done_with_the_message(word: str) -> None:
    verdict = await ask("header_checks", facts(message=MESSAGE), context(), table=[f"/^X-Old:/ {word}"])
    deed, _, text = word.partition(" ")
    assert verdict.deeds == (MessageAction(Deed[deed], text),)


async def test_the_record_tells_what_matched() -> None:
    verdict = await ask("header_checks", facts(message=MESSAGE), context(), table=["/^X-Old:/ WARN", "/x/ INFO"])
    assert verdict.evidence == {"matched": ["WARN: X-Old: one", "WARN: X-Old: two", "INFO: X-Long: end"]}


@pytest.mark.parametrize(
    "result", ["BCC $1@example.org", "REDIRECT $1@example.org", "REPLACE X-$1: x", "PREPEND X-$1: x"]
)
async def test_words_of_a_stranger_that_make_an_action_impossible(result: str) -> None:
    message = b"X-For: a b\r\nX-Old: one\r\n\r\n"
    table = [f"/^X-For: (.*)/ {result}", "/^X-Old:/ IGNORE"]
    verdict = await ask("header_checks", facts(message=message), context(), table=table)
    assert (short(verdict), verdict.deeds, [number for number, _ in verdict.edits]) == ("dunno", (), [1])
    assert verdict.evidence["matched"][0].startswith(f"not done, {result.split()[0]} needs ")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("hash:/etc/x", "a table such as"),
        ("pcre:/nowhere/at/all", "No such file"),
        ([], "a table such as"),
        (["/x/"], "line 1: there is no result"),
        (["/x/ REJECT", "/(/ REJECT"], "line 2: "),
        (["/x/ FILTER smtp:x"], "line 1: FILTER"),
        (["/x/ REPLACE no field"], "line 1: REPLACE needs a header field"),
        (["/x/ BCC nobody"], "line 1: BCC needs an address"),
        (["/x/ 554"], "needs a text"),
        (["/x/ EXPLODE"], "line 1: 'EXPLODE' is no action: expected one of REJECT, "),
    ],
)
def test_a_wrong_table_is_refused(table: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        header_table(table)


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
async def test_a_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "checks").write_text("# mine\n/^Subject: .*pills/\n  REJECT no pills\n")
    verdict = await ask(f"header_checks {kind}:{tmp_path}/checks", facts(message=MESSAGE), context())
    assert str(verdict.reply) == "550 5.7.1 no pills"


@pytest.mark.parametrize(("fields", "beside"), [(1, False), (28, True)])
async def test_much_work_does_not_hold_up_others(fields: int, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression may be quadratic in what it looks at: not on the event loop's own time if there is much of it."""
    threads = set()

    def find(self: Patterns, key: str, whole: bool, longest: int) -> None:
        threads.add(threading.current_thread())

    monkeypatch.setattr(Patterns, "find", find)
    hostile = b"".join(b"X: " + b"a" * 9000 + b"\r\n" for _ in range(fields)) + b"\r\n"
    verdict = await ask(
        "header_checks", facts(message=hostile), context(), table=[f"/a.*b{number}/ REJECT" for number in range(10)]
    )
    assert short(verdict) == "dunno"
    assert (threading.main_thread() not in threads) == beside
