"""The command line as such: what is said of the commands, and what ends them."""

import argparse
from collections.abc import Iterator

import pytest

from smtpgate.cli import main, parser, status


def pages(one: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, and those of all commands and actions below it."""
    yield one
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from pages(below)


PAGES = [pytest.param(page, id=page.prog) for page in pages(parser())]


@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_what_its_command_does(page: argparse.ArgumentParser) -> None:
    assert page.description
    assert page.description.endswith(".")


@pytest.mark.parametrize("page", PAGES)
def test_the_configuration_is_named_in_the_same_words_everywhere(page: argparse.ArgumentParser) -> None:
    for option in page._actions:
        if "--config" in option.option_strings:
            assert "the configuration (default: config.toml)" in " ".join(page.format_help().split())


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (["status"], "config.toml"),
        (["--config", "a.toml", "status"], "a.toml"),
        (["status", "--config", "b.toml"], "b.toml"),
        (["--config", "a.toml", "status", "--config", "b.toml"], "b.toml"),
        (["--config", "a.toml", "dnsbl", "check", "192.0.2.1"], "a.toml"),
        (["dnsbl", "--config", "a.toml", "check", "192.0.2.1"], "a.toml"),
        (["dnsbl", "check", "192.0.2.1", "--config", "b.toml"], "b.toml"),
        (["--config", "a.toml", "table", "friends", "list"], "a.toml"),
    ],
)
def test_the_configuration_can_be_named_anywhere(line: list[str], path: str) -> None:
    assert parser().parse_args(line).config == path


@pytest.mark.parametrize("number", ["0", "-1", "x", ""])
def test_a_number_of_records_that_is_none(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["why", f"--limit={number}", "you@example.org"])
    assert ended.value.code == 2
    assert f"'{number}' is no number above zero" in capsys.readouterr().err


def test_ctrl_c_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(path: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "server_section", interrupted)
    assert main(["status"]) == 130
    assert capsys.readouterr() == ("", "")
