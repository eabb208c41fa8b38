"""Access tables in files are read again when they change."""

import logging
import os
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.phases.access_table import AccessTable
from smtpgate.server.table_files import TableFiles

CONFIG = """
[server]
relay_domains = ["example.org"]
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:mail"
[phases]
client = ["check_client_ns_access hash:{path}"]
rcpt = ["reject_unauth_destination"]
"""


def opened(path: Path) -> AccessTable:
    (table,) = load(CONFIG.format(path=path), REGISTRY).tables
    return table


def write(path: Path, text: str) -> None:
    """As an editor does: a new file in place of the old one."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


async def test_a_file_that_changed_is_used(tmp_path: Path) -> None:
    path = tmp_path / "access"
    path.write_text("a REJECT\n")
    table = opened(path)
    files = TableFiles([table])
    before = table.content
    await files.refresh(table)
    assert table.content is before
    write(path, "a REJECT\nb 550 no\n")
    await files.refresh(table)
    assert table.content.find("b", True) == "550 no"


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\n", "line 1: expected a key"), ("a REJECT\nb OK\n", "line 2: OK is not allowed"), (None, "No such file")],
)
async def test_one_that_is_not_right_is_told_about_once_and_not_used(
    text: str | None, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "access"
    path.write_text("a REJECT\n")
    table = opened(path)
    files = TableFiles([table])
    if text is None:
        path.unlink()
    else:
        write(path, text)
    with caplog.at_level(logging.ERROR):
        await files.refresh(table)
        await files.refresh(table)
    assert [said in record.getMessage() for record in caplog.records] == [True]
    assert table.content.find("a", True) == "REJECT"
