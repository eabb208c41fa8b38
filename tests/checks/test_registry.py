"""Every check of the registry is tested, and answers whatever a stranger says."""

import re
from pathlib import Path

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.phases.phase import Input
from smtpgate.phases.verdict import Verdict
from tests.checks.asking import call, context, facts

TABLE = {"net": "REJECT", "203.0": "REJECT", "<>": "DEFER", "b@": "550 5.1.1 no", "example.org": "DUNNO"}
OWNERS = {"a@example.net": "anna"}
# What a rule cannot do without.
OPTIONS = {
    "check_policy_service": {"service": "inet:127.0.0.1:10023"},
    "check_score": {"threshold": 3},
    "permit_tls_clientcerts": {"fingerprints": [":".join(["0A"] * 32)]},
    **{name: {"zone": "bl.example"} for name in REGISTRY if "rbl_" in name or "dnswl_" in name or "rhs" in name},
    "header_checks": {"table": ["/./ REJECT"]},
    "score": {"lists": ["bl.example*2"]},
    "sleep": {"seconds": 1},
    **{name: {"owners": OWNERS} for name in REGISTRY if name.endswith("_login_mismatch")},
    **{name: {"table": TABLE} for name in REGISTRY if name.endswith("_access")},
}
LONG = "a" * 250
ODD = {
    "client": ["203.0.113.7", "2001:db8::1", "::1", "127.0.0.1", "fe80::1%eth0", "0.0.0.0", "::ffff:203.0.113.7"],
    "helo": ["", ".", "[", "[]", "[192.0.2.1]", "[IPv6:::1]", f"{LONG}.{LONG}", "xn--bcher-kva.example", "\xff\0"],
    "sender": [
        "", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", f"{LONG}@{'a.' * 120}example", "a@xn--bcher-kva.example",
        "a@localhost", '"a b@c"@example.net', "+@example.net", "bücher@example.net",
    ],
    "recipient": [
        "postmaster", "b@[192.0.2.1]", f"{LONG}@{'a.' * 120}example", "b@xn--bcher-kva.example", "bücher@example.org",
        '"@"@example.org',
    ],
    "message": [b"", b"\r\n", b"no header", b"DKIM-Signature: v=1; a=rsa-sha256\r\n\r\n", b"\xff\x00:\r\n\r\n\xff"],
}  # fmt: skip
FACTS = [{name: value} for name, values in ODD.items() for value in values]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_check_has_a_table(name: str) -> None:
    """By convention: a check of smtpgate/checks/FAMILY.py is asked by its name in tests/checks/test_FAMILY.py."""
    family = REGISTRY[name].check.__module__.rpartition(".")[2]
    tests = Path(__file__).with_name(f"test_{family}.py").read_text()
    assert re.search(rf"\b{name}\b", tests)
    assert "pytest.mark.parametrize" in tests


@pytest.mark.parametrize("said", FACTS, ids=lambda said: next(iter(said)))
@pytest.mark.parametrize("name", REGISTRY)
async def test_no_check_stumbles_over_odd_facts(name: str, said: dict) -> None:
    verdict = await call(REGISTRY[name], facts(**said), context(), **OPTIONS.get(name, {}))
    assert isinstance(verdict, Verdict)
    if verdict.reply is not None:
        assert len(verdict.reply.line("7QK2M9XA").encode()) <= 510
        assert verdict.reply.line().isprintable()


@pytest.mark.parametrize("name", REGISTRY)
def test_rows_agree_with_themselves(name: str) -> None:
    spec = REGISTRY[name]
    assert spec.name == name
    assert spec.check.__name__ == name
    assert spec.check.__doc__
    remembered = spec.effects and spec.memo and not spec.follows_list
    assert not (remembered and spec.input < Input.SENDER), "an effect is not remembered for others"
    assert spec.memo or not spec.lookup, "what is started early is remembered"
