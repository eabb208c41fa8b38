"""From a text to settings: what is read, what is warned about, and that nothing but ConfigErrors comes out."""

import contextlib
import dataclasses
import ipaddress
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.errors import ConfigErrors
from smtpgate.config.load import load, load_file
from smtpgate.config.settings import Settings
from smtpgate.config.toml import dump, inline
from smtpgate.phases.facts import Transaction
from smtpgate.phases.phase import Input, Phase
from smtpgate.phases.rule import CheckSpec, Rule, option
from smtpgate.phases.verdict import DUNNO, Verdict, dunno
from smtpgate.values import Endpoint, boolean, choice, duration, list_of, system_name

SHIPPED = (Path(__file__).parents[2] / "config.toml").read_text()


@dataclasses.dataclass(frozen=True)
class Options:
    zone: str = option(choice("a", "b c"), help="which", argument=True)
    level: str = option(choice("low", "high"), "low", "how much", argument=True)
    delay: float = option(duration, "5m", "how long")
    names: tuple[str, ...] = option(list_of(choice("x", "y")), [], "whose")
    loud: bool = option(boolean, False, "whether")


async def ask(tx: Transaction, ctx: Any, options: Options | None = None) -> Verdict:
    return dunno({"options": options})


REGISTRY_OF_TWO = {
    "guard": CheckSpec("guard", ask, Input.RECIPIENT, guard=True),
    "ask": CheckSpec("ask", ask, Input.CLIENT, Options, on_error="skip"),
}


def minimal(client: str = "", **sections: str) -> str:
    texts = {
        "server": "",
        "relay": 'url = "maildir:var/mail"',
        "listener": 'address = "[::1]:25"',
        "phases": f'rcpt = ["guard"]\nclient = [{client}]',
    } | sections
    return "".join(
        f"[[{name}]]\n{text}\n" if name == "listener" else f"[{name}]\n{text}\n" for name, text in texts.items()
    )


def rules(settings: Settings, phase: Phase = Phase.CLIENT) -> list[Rule]:
    return list(settings.phases[phase])


def test_defaults() -> None:
    settings = load(minimal(), REGISTRY_OF_TWO)
    server = settings.server
    assert server.hostname == system_name()
    assert (server.mynetworks, server.relay_domains, server.delay_reject) == ((), frozenset(), True)
    limits = settings.limits
    assert (limits.message_size, limits.message_memory) == (25 * 2**20, 128 * 2**20)
    assert (limits.recipients, limits.sessions, limits.command_timeout) == (1000, 5000, 300.0)
    assert (settings.listeners[0].host, settings.listeners[0].port) == ("::1", 25)
    assert (settings.relay.connect_timeout, settings.relay.timeout) == (10.0, 60.0)
    assert settings.store.url == "sqlite:///var/smtpgate.db"
    assert settings.record.keep == 30 * 86400
    assert (settings.dns.nameservers, settings.dns.timeout) == ((), 5.0)
    assert set(settings.phases) == set(Phase)


def test_what_is_written_is_read() -> None:
    server = """
        hostname = "MX.Example.org."
        mynetworks = ["192.0.2.0/24", "::1"]
        relay_domains = ["Example.ORG", "Bücher.example"]
    """
    settings = load(
        minimal(
            server=server,
            dns='nameservers = ["192.0.2.53", "[2001:db8::53]:5353"]',
            listener='address = "127.0.0.1:2525"\n[[listener]]\naddress = "[0::1]:25"',
        ),
        REGISTRY_OF_TWO,
    )
    assert settings.server.hostname == "mx.example.org"
    assert settings.server.mynetworks == (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("::1/128"))
    assert settings.server.relay_domains == {"example.org", "xn--bcher-kva.example"}
    assert settings.dns.nameservers == (Endpoint("192.0.2.53", 53), Endpoint("2001:db8::53", 5353))
    assert [str(listener.address) for listener in settings.listeners] == ["127.0.0.1:2525", "[::1]:25"]


@pytest.mark.parametrize(
    ("written", "options", "text"),
    [
        ('"ask a"', Options("a"), "ask a"),
        ('"  ask   a  high "', Options("a", "high"), "ask a high"),
        ('{ rule = "ask a" }', Options("a"), "ask a"),
        ('{ rule = "ask", zone = "b c" }', Options("b c"), 'ask "b c"'),
        ('{ rule = "ask a", level = "low", delay = "300s" }', Options("a"), "ask a"),
        (
            '{ rule = "ask a", delay = "1m", loud = true }',
            Options("a", delay=60.0, loud=True),
            "ask a delay=1m loud=true",
        ),
        ('{ rule = "ask a", names = ["x", "y"] }', Options("a", names=("x", "y")), 'ask a names=["x", "y"]'),
    ],
)
async def test_a_rule_has_its_options_bound(written: str, options: Options, text: str) -> None:
    (rule,) = rules(load(minimal(written), REGISTRY_OF_TWO))
    tx: Any = None
    ctx: Any = None
    assert (await rule.check(tx, ctx)).evidence == {"options": options}
    assert rule.text == text


async def test_a_check_without_options_is_called_with_two_arguments() -> None:
    async def check(tx: Transaction, ctx: Any) -> Verdict:
        return DUNNO

    registry = REGISTRY_OF_TWO | {"plain": CheckSpec("plain", check, Input.CLIENT)}
    (rule,) = rules(load(minimal('"plain"'), registry))
    nothing: Any = None
    assert await rule.check(nothing, nothing) is DUNNO


@pytest.mark.parametrize(
    ("written", "shadow", "on_error"),
    [
        ('"ask a"', False, "skip"),
        ('{ rule = "ask a", mode = "shadow" }', True, "skip"),
        ('{ rule = "ask a", mode = "enforce", on_error = "defer" }', False, "defer"),
        ('{ rule = "ask a", on_error = "permit" }', False, "permit"),
    ],
)
def test_mode_and_on_error(written: str, shadow: bool, on_error: str) -> None:
    (rule,) = rules(load(minimal(written), REGISTRY_OF_TWO))
    assert (rule.shadow, rule.on_error, rule.phase) == (shadow, on_error, Phase.CLIENT)


@pytest.mark.parametrize(
    ("phase", "delay_reject", "wanted", "loads"),
    [
        (phase, delay_reject, wanted, wanted <= known)
        for delay_reject, inputs in (
            (True, [Input.RECIPIENT] * 5 + [Input.MESSAGE]),
            (False, [Input.CLIENT, Input.HELO, Input.SENDER, Input.RECIPIENT, Input.RECIPIENT, Input.MESSAGE]),
        )
        for phase, known in zip(Phase, inputs, strict=True)
        for wanted in Input
    ],
)
def test_a_rule_needs_its_input(phase: Phase, delay_reject: bool, wanted: Input, loads: bool) -> None:
    registry = REGISTRY_OF_TWO | {"wants": CheckSpec("wants", ask, wanted)}
    lists = {"rcpt": '["guard"]'} | {phase.key: '["guard", "wants"]' if phase is Phase.RCPT else '["wants"]'}
    text = minimal(
        server=f"delay_reject = {str(delay_reject).lower()}",
        phases="\n".join(f"{key} = {rules}" for key, rules in lists.items()),
    )
    if loads:
        assert rules(load(text, registry), phase)[-1].spec.name == "wants"
    else:
        with pytest.raises(ConfigErrors, match=rf"\[phases\] {phase.key}: wants needs the .* does not know"):
            load(text, registry)


@pytest.mark.parametrize("rule", ['{ rule = "permit", mode = "shadow" }', '"permit_mynetworks"',
                                  '{ rule = "permit_mynetworks", mode = "shadow", on_error = "permit" }'])  # fmt: skip
def test_what_may_stand_before_the_relay_guard(rule: str) -> None:
    settings = load(minimal(phases=f'rcpt = [{rule}, "reject_unauth_destination"]'), REGISTRY)
    assert [listed.spec.guard for listed in rules(settings, Phase.RCPT)] == [False, True]


@pytest.mark.parametrize(
    ("server", "warnings"),
    [
        ("", ["config.toml:1: [server] relay_domains: empty: no mail is accepted"]),
        (
            'mynetworks = ["::1"]',
            ["config.toml:1: [server] relay_domains: empty: mail is accepted from mynetworks only"],
        ),
        ('relay_domains = ["example.org"]', []),
    ],
)
def test_warnings(server: str, warnings: list[str]) -> None:
    assert list(load(minimal(server=server), REGISTRY_OF_TWO).warnings) == warnings


def told(settings: Settings) -> Any:
    """Settings as data that can be compared: rules compare by identity."""
    lists = {
        phase: [
            (rule.spec.name, getattr(rule.check, "keywords", None), rule.text, rule.shadow, rule.on_error)
            for rule in rules
        ]
        for phase, rules in settings.phases.items()
    }
    return dataclasses.replace(settings, phases={}), lists


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED,
        SHIPPED.replace('["example.org"]', '["bücher.example"]').replace('"maildir:var/mail"', "'maildir:\"\\ü'"),
        SHIPPED.replace("var/mail", "\U0001f4ec\\u007f"),
    ],
    ids=["shipped", "quotes", "beyond the BMP"],
)
def test_what_is_shown_loads_to_the_same(text: str) -> None:
    settings = load(text, REGISTRY)
    shown = dump(settings.effective)
    assert shown.isascii()
    assert told(load(shown, REGISTRY)) == told(settings)
    assert dump(load(shown, REGISTRY).effective) == shown


def test_the_shipped_configuration_is_safe() -> None:
    settings = load(SHIPPED, REGISTRY)
    assert [str(listener.address) for listener in settings.listeners] == ["127.0.0.1:2525"]
    assert settings.server.mynetworks == ()
    assert settings.warnings == ()
    for listed in settings.phases.values():
        for rule in listed:
            outside = rule.spec.lookup or rule.spec.effects or rule.spec.input is Input.MESSAGE
            assert rule.shadow or not outside, f"{rule.text} depends on the outside and is not in shadow mode"


def test_the_shipped_comments_are_short() -> None:
    comments = [line for line in SHIPPED.splitlines() if line.lstrip().startswith("#")]
    assert max(map(len, comments)) <= 80


def test_every_error_has_the_name_of_the_file_as_given(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[server]\nhostname = 1\n")
    with pytest.raises(ConfigErrors) as caught:
        load_file(str(path), REGISTRY)
    assert {error.file for error in caught.value.errors} == {str(path)}


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + minimal().encode())
    assert load_file(str(path), REGISTRY_OF_TWO).listeners


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.toml", "there is no such file: name it with --config PATH"),
        (".", "this is a directory: name the file in it with --config PATH"),
        ("config.toml/x", "it cannot be read: Not a directory"),
        ("a\0b", "it cannot be read: the name has a NUL in it"),
        ("x" * 300, "it cannot be read: File name too long"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").touch()
    with pytest.raises(ConfigErrors) as caught:
        load_file(name, REGISTRY)
    assert str(caught.value) == f"{name}: {problem}"


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:  # chmod would not keep root out
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        ConfigErrors, match=r"user \S+ may not read it: give this user the right, or run this as another"
    ):
        load_file("config.toml", REGISTRY)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000, "a = 1979-13-01"])
def test_what_tomllib_stumbles_over(text: str) -> None:
    with pytest.raises(ConfigErrors):
        load(text, REGISTRY)


def test_an_error_quotes_no_control_characters_and_not_without_end() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(minimal(server='hostname = "\\u001b[2J' + "x" * 1000 + '"'), REGISTRY_OF_TWO)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 250


PIECES = [
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\n",
    "#",
    "1",
    "-1",
    "true",
    "nan",
    '"x"',
    "[]",
    "{}",
    "\0",
    "é",
    '"""',
]
WRONG = [
    "0", "-1", "1.5", "nan", "true", '""', '"\\u0000"', "[]", "{}", "[[]]", "[1]", "1979-05-27", "[{}]",
    '{ rule = "x" }', '["greylist a"]', "[{ rule = 1 }]", '[{ rule = "greylist", mode = [], delay = {} }]',
]  # fmt: skip


def load_or_refuse(text: str) -> None:
    """Anything but ConfigErrors fails the test."""
    with contextlib.suppress(ConfigErrors):
        load(text, REGISTRY)


mutations = st.lists(st.tuples(st.integers(0, len(SHIPPED)), st.integers(0, 30), st.sampled_from(PIECES)), max_size=3)


@given(mutations)
def test_mutations_of_the_shipped_text(mutations: list[tuple[int, int, str]]) -> None:
    text = SHIPPED
    for at, length, piece in mutations:
        text = text[:at] + piece + text[at + length :]
    load_or_refuse(text)


@given(st.data())
def test_values_of_the_wrong_type(data: st.DataObject) -> None:
    """Mutations that are still TOML, so that they reach the parsers."""
    sections = {**load(SHIPPED, REGISTRY).effective}
    name = data.draw(st.sampled_from(sorted(sections)))
    wrong = tomllib.loads(f"a = {data.draw(st.sampled_from(WRONG))}")["a"]
    if isinstance(sections[name], dict) and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(sections[name])))
        sections[name] = {**sections[name], key: wrong}
        text = dump(sections)
    else:
        text = f"{name} = {inline(wrong)}\n" + dump({key: value for key, value in sections.items() if key != name})
    tomllib.loads(text)
    load_or_refuse(text)


@given(st.sampled_from(sorted(REGISTRY)), st.data())
def test_options_of_the_wrong_type(name: str, data: st.DataObject) -> None:
    options = REGISTRY[name].options
    keys = [field.name for field in dataclasses.fields(options)] if options else []
    given = ", ".join(f"{key} = {data.draw(st.sampled_from(WRONG))}" for key in [*keys, "mode"])
    with pytest.raises(ConfigErrors):
        load(minimal(phases=f'end_of_data = [{{ rule = "{name}", {given} }}]'), REGISTRY)


def test_an_access_key_does_not_stand_in_records() -> None:
    text = """
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:mail"
[server]
relay_domains = ["example.org"]
[phases]
client = ["reject_rbl_client abcdefghijklmnopqrstuvwxyz.zen.dq.spamhaus.net=127.0.0.[2..11]"]
rcpt = ["reject_unauth_destination"]
"""
    [rule] = load(text, REGISTRY).phases[Phase.CLIENT]
    assert rule.text == "reject_rbl_client zen.dq.spamhaus.net=127.0.0.[2..11]"
