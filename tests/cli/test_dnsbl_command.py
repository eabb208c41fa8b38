"""`smtpgate dnsbl`, as the administrator runs it."""

import asyncio
from pathlib import Path

import pytest

from smtpgate.cli import dnsbl, main
from smtpgate.dnsbl.dead import death_of
from smtpgate.server.lists import merged
from tests.dns.name_server import name_server, wire
from tests.dnsbl.fake_lists import BEHAVIOURS, Behaviour, good

LISTED, NAME = "203.0.113.7", "7.113.0.203"
KEY = "abcdefghijklmnopqrstuvwxyz"
CONFIG = """
[server]
relay_domains = ["example.org"]
control = "control.sock"
[[listener]]
address = "127.0.0.1:2525"
[relay]
url = "maildir:mail"
[dns]
nameservers = ["127.0.0.1:{port}"]
timeout = "60s"
[phases]
client = [{rules}]
rcpt = ["reject_unauth_destination"]
"""
RULES = ["reject_rbl_client good.example=127.0.0.[2..11]", "reject_rhsbl_sender domains.example"]


def configure(port: int = 53, rules: list[str] = RULES) -> None:
    Path("config.toml").write_text(CONFIG.format(port=port, rules=", ".join(f'"{rule}"' for rule in rules)))


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configure()


def smtpgate(*arguments: str) -> int:
    return main(arguments)


async def check(subject: str, rules: list[str] = RULES, **zones: Behaviour) -> int:
    def answer(question, tcp: bool) -> list[bytes]:
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        zone = next(zone for zone in zones if name.endswith(f".{zone}.example"))
        addresses = zones[zone](name.removesuffix(f".{zone}.example"))
        if not addresses:
            return [wire(question, rcode="SERVFAIL" if addresses is None else "NXDOMAIN")]
        if question.question[0].rdtype == 16:
            return [wire(question, f'{name}. 1 IN TXT "ask https://{zone}.example/"')]
        return [wire(question, *(f"{name}. 1 IN A {address}" for address in addresses))]

    async with name_server(answer) as server:
        configure(server.port, rules)
        return await asyncio.to_thread(smtpgate, "dnsbl", "check", subject)


@pytest.mark.parametrize(
    ("behaviour", "subject", "status", "told"),
    [
        (good(NAME), LISTED, 1, "  good.example=127.0.0.[2..11]  listed: 127.0.0.2"),
        (good(NAME), LISTED, 1, "                                ask https://good.example/"),
        (good(NAME), f"::ffff:{LISTED}", 1, "listed: 127.0.0.2"),
        (good(NAME), f"[{LISTED}]", 1, "listed: 127.0.0.2"),
        (good(NAME), "198.51.100.7", 0, "  good.example=127.0.0.[2..11]  not listed"),
        (good(NAME, code="127.0.0.20"), LISTED, 0, "not listed: 127.0.0.20 does not count"),
        (good(NAME), "2001:db8::7", 0, "  good.example=127.0.0.[2..11]  not listed\n"),
        (
            lambda label: ["127.0.0.2"] if label == "2.0.0.127" else [],
            "2001:db8::7",
            0,
            "not listed; self-test: it has no IPv6 test entry, so probably no IPv6 addresses",
        ),
        (BEHAVIOURS["everything"], "198.51.100.7", 2, "cannot be believed: it lists 127.0.0.1, so probably everything"),
        (BEHAVIOURS["parked"], "198.51.100.7", 2, "cannot be believed: it answered 198.51.100.80: not in 127.0.0.0/8"),
        (lambda label: ["127.255.255.255"] if label == NAME else good()(label), LISTED, 2, "it was asked too often"),
        (BEHAVIOURS["silent"], "198.51.100.7", 2, "no answer: SERVFAIL from 127.0.0.1"),
        (good(NAME), "bad.example.net", 1, "  domains.example  listed: 127.0.0.2"),
        (good(NAME), "example.net", 0, "  domains.example  not listed"),
    ],
)
async def test_what_the_lists_say(
    behaviour: Behaviour, subject: str, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await check(subject, good=behaviour, domains=good("bad.example.net")) == status
    out, err = capsys.readouterr()
    assert told in out
    assert err == ""


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        (["permit_dnswl_client good.example"], 0),
        (["reject_rbl_client other.example", "permit_dnswl_client good.example"], 0),
        (["reject_rbl_client silent.example", "permit_dnswl_client good.example"], 2),
        (["reject_rbl_client silent.example", "reject_rbl_client good.example"], 1),
    ],
)
async def test_to_be_on_an_allow_list_is_good(rules: list[str], status: int, capsys) -> None:
    zones = {"good": good(NAME), "other": good(), "silent": BEHAVIOURS["silent"]}
    assert await check(LISTED, rules, **zones) == status
    assert ("which is to its credit" in capsys.readouterr().out) == ("permit" in " ".join(rules))


async def test_lists_of_scores(capsys) -> None:
    Path("config.toml").touch()
    rules = ["reject_rbl_client good.example"]
    assert await check(LISTED, rules, good=good(NAME)) == 1
    configure(rules=rules)
    text = Path("config.toml").read_text()
    weighted = '{ rule = "score", lists = ["good.example*-2", "other.example=127.0.0.3*4"] }'
    Path("config.toml").write_text(text.replace('"reject_rbl_client good.example"', weighted))
    settings = dnsbl.load_settings("config.toml")
    assert [(one.listing.public_text, one.allows) for one in dnsbl.configured_lists(settings)] == [
        ("good.example", True),
        ("other.example=127.0.0.3", False),
    ]


async def test_lists_that_only_tables_and_classes_name(capsys) -> None:
    configure(rules=["check_client_access outer", "check_helo_access hash:own"])
    text = Path("config.toml").read_text()
    Path("config.toml").write_text(
        text
        + """
[classes]
strict = ["permit_dnswl_client good.example", "check_sender_access inner"]
[tables.outer]
"192.0.2" = "strict"
"192.0.2.1" = "REJECT"
"198.51.100" = "warn_if_reject strict"
[tables.inner]
"example.net" = "reject_rhsbl_sender domains.example, check_client_access outer"
"""
    )
    Path("own").write_text("x.example reject_rbl_client other.example\n")
    settings = dnsbl.load_settings("config.toml")
    found = {(one.listing.public_text, one.allows, one.rule.spec.name) for one in dnsbl.configured_lists(settings)}
    assert found == {
        ("good.example", True, "permit_dnswl_client"),
        ("domains.example", False, "reject_rhsbl_sender"),
        ("other.example", False, "reject_rbl_client"),
    }


async def test_an_access_key_is_hidden(capsys) -> None:
    zones = {f"{KEY}.keyed": good(NAME), f"{KEY}.keyed2": BEHAVIOURS["silent"]}
    assert await check(LISTED, [f"reject_rbl_client {zone}.example" for zone in zones], **zones) == 1
    out, err = capsys.readouterr()
    assert KEY not in out + err
    assert "  keyed.example   listed: 127.0.0.2" in out


def test_no_list_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure(rules=["reject_rbl_client good.example"])
    assert smtpgate("dnsbl", "check", "example.net") == 2
    assert capsys.readouterr().err == "smtpgate: no rule asks a list of domains, as reject_rhsbl_… would\n"


def test_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert smtpgate("dnsbl") == 1
    err = capsys.readouterr().err
    assert "no server runs here" in err
    assert "smtpgate dnsbl check IP" in err


@pytest.mark.parametrize("subject", ["not one", "192.0.2.400"])
def test_what_is_no_subject(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        smtpgate("dnsbl", "check", subject)
    assert f'"{subject}" is no IP address and no domain' in capsys.readouterr().err


def report(**differs) -> dict:
    usual = {
        "list": "bl.example", "kind": "IPv4", "state": "good", "since": 1000.0, "reason": None, "asked": 10,
        "listed": 4, "failed": 1, "not_asked": 0, "latency": [0] * 24 + [9] + [0] * 27, "latency_total": 0.2,
        "tested": 1000.0, "test": "good",
    }  # fmt: skip
    return {**usual, **differs}


def test_the_workers_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    suspended = report(state="suspended", since=900.0, reason="it lists 127.0.0.1", test="it lists 127.0.0.1", asked=2)
    untested = report(list="other.example", kind="IPv6", state="untested", tested=None, latency=[0] * 52,
                      latency_total=0.0, asked=0, listed=0, failed=0, test="timed out")  # fmt: skip
    lists = merged([[report(), untested], [suspended]])
    assert list(dnsbl.table(lists, 1060.0)) == [
        "list           about    state        since    asked   listed  failed  spared     mean      p95       tested",
        "bl.example     IPv4     suspended   2m 40s       12        8       2       0  22.2 ms  25.1 ms    1m 0s ago",
        "    in 1 of 2 workers",
        "    it lists 127.0.0.1",
        "other.example  IPv6     untested     1m 0s        0        0       0       0        -        -            -",
        "    self-test: timed out",
    ]


@pytest.mark.parametrize(
    ("zone", "dead"),
    [("dnsbl.sorbs.net", True), ("sorbs.net", True), ("notsorbs.net", False), ("zen.spamhaus.org", False)],
)
def test_the_dead_are_known_by_name(zone: str, dead: bool) -> None:
    assert (death_of(zone) is not None) == dead


def test_a_dead_list_is_a_warning() -> None:
    configure(rules=["reject_rbl_client good.example", "reject_rbl_client dul.dnsbl.sorbs.net"])
    [warning] = dnsbl.load_settings("config.toml").warnings
    assert warning == (
        "config.toml:13: [phases] client: reject_rbl_client dul.dnsbl.sorbs.net: dul.dnsbl.sorbs.net is no more,"
        " since June 2024: see https://www.dnsbl.com/2024/06/status-of-dnsblsorbsnet-dead.html"
    )
