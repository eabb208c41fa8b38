"""Keys that are never looked up; tests/lint has what is said of each kind."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.config.toml import inline
from smtpgate.tables.keys import address_keys, domain_keys, mail_keys

CONFIG = """
[server]
relay_domains = ["example.org"]
parent_domain_matches_subdomains = {parents}
[[listener]]
address = "127.0.0.1:25"
[relay]
url = "maildir:x"
[phases]
rcpt = ["reject_unauth_destination", {rules}]
[tables]
t = {table}
"""
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.builds(".".join, st.lists(LABELS, min_size=1, max_size=4)).filter(lambda name: name[-1].isalpha())
LOCALS = st.from_regex(r"[a-z0-9!#$%&'+=?^_{|}~-]+(\.[a-z0-9+-]+)*", fullmatch=True)


def warnings(rules: list[str], keys: list[str], *, dotted: bool = False) -> tuple[str, ...]:
    written = ", ".join(inline(f"{rule} t") for rule in rules)
    table = inline(dict.fromkeys(keys, "REJECT"))
    return load(CONFIG.format(parents=str(not dotted).lower(), rules=written, table=table), REGISTRY).warnings


@given(st.ip_addresses())
@example(ipaddress.ip_address("2001:db8::7"))
@example(ipaddress.ip_address("2001:db8:0:1:2:3:4:5"))
def test_what_is_looked_up_for_a_client_is_never_warned_of(address: ipaddress.IPv4Address) -> None:
    keys = [key.text for key in address_keys(str(getattr(address, "ipv4_mapped", None) or address))]
    assert warnings(["check_client_access"], keys) == ()
    assert warnings(["check_sender_a_access"], keys) == ()


@given(NAMES, LOCALS, st.booleans())
def test_what_is_looked_up_for_a_mail_address_is_never_warned_of(domain: str, local: str, dotted: bool) -> None:
    keys = [key.text for key in mail_keys(f"{local}@{domain}", domain, delimiters="+", dotted=dotted)]
    assert warnings(["check_sender_access"], [*keys, "<>"], dotted=dotted) == ()
    assert warnings(["check_recipient_access"], keys, dotted=dotted) == ()


@given(NAMES, st.booleans())
def test_what_is_looked_up_for_a_name_is_never_warned_of(name: str, dotted: bool) -> None:
    keys = [key.text for key in domain_keys(name, dotted=dotted)]
    for rule in ("check_client_access", "check_helo_access", "check_sender_mx_access"):
        assert warnings([rule], keys, dotted=dotted) == ()


@pytest.mark.parametrize(
    ("rules", "key", "is_found"),
    [
        (["check_client_access"], "a@b.example", False),
        (["check_client_access", "check_sender_access"], "a@b.example", True),
        (["check_sender_access"], "192.0.2.1", False),
        (["check_sender_access", "check_helo_access"], "192.0.2.1", True),
        (["check_sender_access", "check_recipient_mx_access"], "192.0.2", True),
        (["check_helo_a_access"], "bad.example", False),
        (["check_helo_a_access", "check_helo_ns_access"], "bad.example", True),
        (["check_client_access"], "bad.example.", False),
        (["check_client_access", "check_helo_access"], "bad.example.", True),
        (["check_ccert_access", "check_client_access"], "0A:1B/x@y", True),
    ],
)
def test_a_key_may_be_for_another_rule_that_asks_the_same_table(rules: list[str], key: str, is_found: bool) -> None:
    assert (warnings(rules, [key]) == ()) is is_found


@pytest.mark.parametrize(
    ("dotted", "right", "wrong"), [(False, "b.example", ".b.example"), (True, ".b.example", "*.b.example")]
)
def test_the_right_key_is_named(dotted: bool, right: str, wrong: str) -> None:
    (warning,) = warnings(["check_sender_access"], [wrong], dotted=dotted)
    assert warning.endswith(f': write "{right}"')


def test_of_many_keys_some_are_told() -> None:
    said = warnings(["check_sender_access"], [f"@{number}.example" for number in range(30)])
    assert len(said) == 21
    assert said[-1].endswith(": t: 10 more keys are never found")
