"""Mailboxes that exist, in the configuration and in files."""

from pathlib import Path

import pytest

from smtpgate.tables.mailboxes import mailboxes
from smtpgate.values import ElementErrors


def test_one_by_one() -> None:
    found = mailboxes(["Anna@Example.ORG", "@bücher.example", '"a:b"@example.org'])
    assert found == {"anna@example.org", "@xn--bcher-kva.example", '"a:b"@example.org'}


def test_in_files(tmp_path: Path) -> None:
    file = tmp_path / "relay_recipients"
    file.write_text("# who exists\nAnna@example.org x\n@bücher.example OK\n")
    found = mailboxes([f"hash:{file}", "bob@example.org"])
    assert found == {"anna@example.org", "@xn--bcher-kva.example", "bob@example.org"}


def test_none() -> None:
    assert mailboxes([]) == frozenset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("anna", "a mailbox such as"),
        ("anna@", "a mailbox such as"),
        ("an na@example.org", "a mailbox such as"),
        (1, "a mailbox such as"),
        ("hash:/nowhere/at/all", "a file that can be read (No such file or directory)"),
        ("hash:wrong", "line 2: expected a key, a blank and a result"),
    ],
)
def test_what_is_wrong(value: object, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong").write_text("a@example.org x\nb@example.org\n")
    with pytest.raises(ElementErrors) as caught:
        mailboxes([value])
    assert str(caught.value).startswith(expected)


def test_a_list_is_wanted() -> None:
    with pytest.raises(ValueError, match="a list such as"):
        mailboxes("hash:/etc/postfix/relay_recipients")
