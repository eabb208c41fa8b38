"""check_policy_service: what the service is told, and what its answers mean."""

import dataclasses
from typing import Any

import pytest

from smtpgate.checks.registry import REGISTRY
from smtpgate.config.load import load
from smtpgate.phases.facts import ClientCertificate, TlsFacts, Transaction, Via
from smtpgate.phases.phase import Input, Phase
from smtpgate.policy.connection import PolicyUnavailable
from smtpgate.policy.service import PolicyLimits
from tests.checks.asking import CLIENT, ask, context, facts, mailbox, short
from tests.fakes import FakeDns, FakePolicy

RULE = "check_policy_service inet:127.0.0.1:10023"
NAMED = {"PTR": {CLIENT: ["client.example.net"]}, "A": {"client.example.net": [CLIENT]}}
BROKEN = "defer 451 4.3.5"


def at(phase: Phase, **said: Any) -> Transaction:
    tx = facts(**said)
    tx.phase, tx.ref = phase, "7QK2M9XA"
    return tx


async def told(tx: Transaction, dns: FakeDns | None = None, **options: Any) -> dict[str, str]:
    policy = FakePolicy()
    await ask(RULE, tx, context(policy=policy, dns=dns), **options)
    assert policy.services == ["inet:127.0.0.1:10023"]
    return policy.asked[0]


@pytest.mark.parametrize(
    ("action", "expected", "text"),
    [
        ("DUNNO", "dunno", ""),
        ("dunno whatever", "dunno", ""),
        ("OK", "permit", ""),
        ("12345", "permit", ""),
        ("INFO seen", "dunno", ""),
        ("WARN seen", "dunno", ""),
        ("REJECT", "reject 554 5.7.1", "Access denied"),
        ("reject We know you", "reject 554 5.7.1", "We know you"),
        ("REJECT 5.7.23 SPF", "reject 554 5.7.23", "SPF"),
        ("DEFER Wait", "defer 450 4.7.1", "Wait"),
        ("DEFER_IF_PERMIT Greylisted", "defer_if_permit 450 4.7.1", "Greylisted"),
        ("DEFER_IF_REJECT 4.2.0 Busy", "defer_if_reject 450 4.2.0", "Busy"),
        ("550 5.7.23 Message rejected", "reject 550 5.7.23", "Message rejected"),
        ("450 Later", "defer 450 4.7.1", "Later"),
        ("PREPEND X-Seen: yes", "dunno", ""),
        # what is none
        ("FILTER smtp:x", BROKEN, "Server configuration problem"),
        ("550", BROKEN, "Server configuration problem"),
        ("550x", BROKEN, "Server configuration problem"),
        ("NONSENSE", BROKEN, "Server configuration problem"),
        (PolicyUnavailable("it closed the connection"), BROKEN, "Server configuration problem"),
    ],
)
async def test_check_policy_service(action: str | Exception, expected: str, text: str) -> None:
    verdict = await ask(RULE, at(Phase.RCPT), context(policy=FakePolicy(action)))
    assert short(verdict) == expected
    if text:
        assert verdict.reply.text == f"<b@example.org>: Recipient address rejected: {text}"


async def test_what_is_to_be_done_with_the_message() -> None:
    verdict = await ask(RULE, at(Phase.RCPT), context(policy=FakePolicy("PREPEND Received-SPF: pass")))
    assert [str(deed) for deed in verdict.deeds] == ["PREPEND Received-SPF: pass"]


async def test_a_service_that_fails_is_what_the_administrator_says() -> None:
    ctx = context(policy=FakePolicy(PolicyUnavailable("no answer within 100 s")))
    verdict = await ask(RULE, at(Phase.RCPT), ctx, default_action="DUNNO")
    assert short(verdict) == "dunno"
    assert verdict.evidence == {"service": "inet:127.0.0.1:10023", "failure": "no answer within 100 s"}


async def test_the_record_has_the_action() -> None:
    verdict = await ask(RULE, at(Phase.RCPT), context(policy=FakePolicy("DUNNO " + "x" * 1000)))
    assert verdict.evidence == {"service": "inet:127.0.0.1:10023", "action": ("DUNNO " + "x" * 1000)[:500]}


async def test_everything_that_postfix_tells() -> None:
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "mx.example.org")
    tx = at(
        Phase.RCPT, sender='"a b"@Example.NET', esmtp=True, tls=tls, local=("::ffff:192.0.2.25", 25, 0, 0),
    )  # fmt: skip
    tx.size = 1234
    assert await told(tx, FakeDns(**NAMED), policy_context="mx") == {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": CLIENT,
        "client_name": "client.example.net",
        "client_port": "4711",
        "reverse_client_name": "client.example.net",
        "server_address": "192.0.2.25",
        "server_port": "25",
        "helo_name": "client.example.net",
        "sender": '"a b"@Example.NET',
        "recipient": "b@example.org",
        "recipient_count": "0",
        "queue_id": "7QK2M9XA",
        "instance": "7QK2M9XA",
        "size": "1234",
        "etrn_domain": "",
        "stress": "",
        "sasl_method": "",
        "sasl_username": "",
        "sasl_sender": "",
        "ccert_subject": "",
        "ccert_issuer": "",
        "ccert_fingerprint": "",
        "ccert_pubkey_fingerprint": "",
        "encryption_protocol": "TLSv1.3",
        "encryption_cipher": "TLS_AES_256_GCM_SHA384",
        "encryption_keysize": "256",
        "tls_sni": "mx.example.org",
        "policy_context": "mx",
        "compatibility_level": "3.9",
        "mail_version": "3.9",
    }


@pytest.mark.parametrize(
    ("zone", "name", "reverse"),
    [
        (NAMED, "client.example.net", "client.example.net"),
        ({}, "unknown", "unknown"),
        ({"PTR": {CLIENT: ["client.example.net"]}}, "unknown", "client.example.net"),
        ({"PTR": {CLIENT: ["x.example.net"]}, "A": {"x.example.net": ["192.0.2.1"]}}, "unknown", "x.example.net"),
        ({**NAMED, "fail": {"client.example.net"}}, "unknown", "client.example.net"),
    ],
)
async def test_a_name_counts_only_if_it_leads_back(zone: dict, name: str, reverse: str) -> None:
    attributes = await told(at(Phase.RCPT), FakeDns(**zone))
    assert (attributes["client_name"], attributes["reverse_client_name"]) == (name, reverse)


async def test_what_a_trusted_server_says_of_its_client_is_not_looked_up() -> None:
    dns = FakeDns()
    tx = at(Phase.RCPT)
    tx.session.via = (Via("XCLIENT", tx.session.client_address, 25, "pc.example.org", "jane"),)
    attributes = await told(tx, dns)
    assert [attributes[name] for name in ("client_name", "sasl_method", "sasl_username")] == [
        "pc.example.org", "XCLIENT", "jane",
    ]  # fmt: skip
    assert dns.asked == []


@pytest.mark.parametrize(
    ("phase", "esmtp", "state", "count"),
    [
        (Phase.CLIENT, True, "CONNECT", "0"),
        (Phase.HELO, True, "EHLO", "0"),
        (Phase.HELO, False, "HELO", "0"),
        (Phase.MAIL, True, "MAIL", "0"),
        (Phase.RCPT, True, "RCPT", "0"),
        (Phase.DATA, True, "DATA", "1"),
        (Phase.END_OF_DATA, True, "END-OF-MESSAGE", "1"),
    ],
)
async def test_states(phase: Phase, esmtp: bool, state: str, count: str) -> None:
    attributes = await told(at(phase, esmtp=esmtp))
    assert (attributes["protocol_state"], attributes["recipient_count"]) == (state, count)


@pytest.mark.parametrize(("verified", "subject", "issuer"), [(True, "Jane+20Doe+2B+3D", "CA"), (False, "", "")])
async def test_a_certificates_names_count_if_somebody_trusted_signed_it(
    verified: bool, subject: str, issuer: str
) -> None:
    shown = ClientCertificate("Jane Doe+=", "CA", "0A:1B", "2C:3D", verified)
    attributes = await told(at(Phase.RCPT, tls=TlsFacts("TLSv1.3", "x", 256, None, shown)))
    assert (attributes["ccert_subject"], attributes["ccert_issuer"]) == (subject, issuer)
    assert (attributes["ccert_fingerprint"], attributes["ccert_pubkey_fingerprint"]) == ("0A:1B", "2C:3D")


async def test_before_anything_was_said() -> None:
    tx = Transaction(facts().session)
    tx.session.helo = None
    tx.phase = Phase.CLIENT
    attributes = await told(tx)
    assert {attributes[name] for name in ("helo_name", "sender", "recipient", "queue_id", "instance")} == {""}


async def test_the_size_is_the_messages_own_at_its_end() -> None:
    assert (await told(at(Phase.END_OF_DATA, message=b"x: y\r\n\r\nbody\r\n")))["size"] == "14"


async def test_several_recipients_are_none_at_the_end() -> None:
    tx = Transaction(facts().session, mailbox("a@example.net"))
    tx.recipients += [mailbox("b@example.org"), mailbox("c@example.org")]
    tx.phase = Phase.DATA
    attributes = await told(tx)
    assert (attributes["recipient"], attributes["recipient_count"]) == ("", "2")


def test_the_defaults_are_postfixes() -> None:
    options = REGISTRY["check_policy_service"].options
    service = next(iter(dataclasses.fields(options))).metadata["parse"]("unix:/run/p")
    assert options(service).limits == PolicyLimits(100, 2, 1, 300, 1000, 100)


@pytest.mark.parametrize("action", ["", "WHATEVER", 7, "FILTER smtp:x"])
def test_a_default_action_that_is_none(action: Any) -> None:
    fields = {field.name: field for field in dataclasses.fields(REGISTRY["check_policy_service"].options)}
    with pytest.raises(ValueError, match="an action such as"):
        fields["default_action"].metadata["parse"](action)


@pytest.mark.parametrize(
    ("phase", "delay_reject", "input"),
    [
        (Phase.CLIENT, True, Input.RECIPIENT),
        (Phase.MAIL, True, Input.RECIPIENT),
        (Phase.CLIENT, False, Input.CLIENT),
        (Phase.HELO, False, Input.HELO),
        (Phase.MAIL, False, Input.SENDER),
        (Phase.RCPT, True, Input.RECIPIENT),
        (Phase.DATA, True, Input.SENDER),
        (Phase.END_OF_DATA, True, Input.MESSAGE),
    ],
)
def test_it_is_asked_again_when_what_its_list_knows_changes(phase: Phase, delay_reject: bool, input: Input) -> None:
    lists = {"rcpt": '"reject_unauth_destination"'}
    lists[phase.key] = ", ".join(filter(None, [lists.get(phase.key), f'"{RULE}"']))
    settings = load(
        f"[server]\ndelay_reject = {str(delay_reject).lower()}\n"
        '[[listener]]\naddress = "127.0.0.1:2525"\n[relay]\nurl = "maildir:x"\n[phases]\n'
        + "".join(f"{name} = [{rules}]\n" for name, rules in lists.items()),
        REGISTRY,
    )
    assert settings.phases[phase][-1].spec.input is input
